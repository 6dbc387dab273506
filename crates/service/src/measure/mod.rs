//! How large a request is, by class of content: what a first estimate of its input tokens is made from.

mod body;
mod converse;
mod document;

pub(crate) use self::{body::of_body, converse::of_conversation};
