//! Anthropic's Messages, as Bedrock has them.

mod answer;
mod request;

pub(super) use self::{
    answer::{delta, end, start, whole},
    request::Request,
};
