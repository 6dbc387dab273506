//! `ConverseStream`: messageStart, contentBlockStart, contentBlockDelta .., contentBlockStop, messageStop,
//! metadata.

use aws_sdk_bedrockruntime::types::{ConverseStreamOutput, error::ConverseStreamOutputError};

use super::event::{Meaning, StreamEvent, sealed::Event};
use crate::{measure, usage};

impl StreamEvent for ConverseStreamOutput {}

impl Event for ConverseStreamOutput {
    type Error = ConverseStreamOutputError;

    fn meaning(&self) -> Meaning {
        match self {
            Self::MessageStart(_) | Self::ContentBlockStart(_) => Meaning {
                whole: Some(false),
                ..Meaning::default()
            },
            Self::MessageStop(_) => Meaning {
                commits: true,
                whole: Some(true),
                ..Meaning::default()
            },
            Self::Metadata(metadata) => Meaning {
                commits: true,
                whole: None,
                last: true,
                usage: metadata.usage().and_then(usage::from_converse),
            },
            Self::ContentBlockDelta(_) | Self::ContentBlockStop(_) => Meaning {
                commits: true,
                whole: Some(false),
                ..Meaning::default()
            },
            // An event of a later API may be content.
            _ => Meaning {
                commits: true,
                ..Meaning::default()
            },
        }
    }

    fn bytes(&self) -> Option<usize> {
        measure::bytes_of_event(self)
    }
}
