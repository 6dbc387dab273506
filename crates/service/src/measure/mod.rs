//! How large a request is, by class of content: what a first estimate of its input tokens is made from. And how much
//! memory an answer takes.

mod answer;
mod body;
mod converse;
mod document;

pub(crate) use self::{
    answer::{bytes_of_answer, bytes_of_event},
    body::of_body,
    converse::of_conversation,
};
