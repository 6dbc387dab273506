//! A day that no fleet shares, in a crate that knows of none: nothing is in its way, and nobody is to be told.

use tower_bedrock_core::Region;

use crate::{
    time::{Clock, Time},
    window::Window,
};

#[derive(Debug)]
pub(super) struct Seat;

#[derive(Debug)]
pub(super) struct Place;

impl Seat {
    pub(super) const fn new(_: &Region, _: Clock) -> Self {
        Self
    }

    pub(super) const fn call(&self) {}
}

impl Place {
    pub(super) const fn new() -> Self {
        Self
    }

    pub(super) const fn declare(&mut self, _: u64, _: Time) {}

    pub(super) const fn window(&self, declared: Window) -> Window {
        declared
    }

    pub(super) const fn advance(&mut self, _: Time) {}

    pub(super) fn room(&self, _: impl FnOnce() -> u64) -> u64 {
        u64::MAX
    }

    pub(super) const fn to_leave(&self, part: u64) -> u64 {
        part
    }

    pub(super) const fn changes_after(&self, now: Time) -> Time {
        now
    }

    pub(super) const fn forecast(&self, now: Time) -> Time {
        now
    }

    pub(super) const fn told(&self) -> Option<Time> {
        None
    }

    pub(super) const fn is_in_use(&self) -> bool {
        false
    }

    pub(super) const fn reserve(&mut self, _: u64, _: Time) {}

    pub(super) const fn end(&mut self, _: u64, _: u64) {}

    pub(super) const fn wait(&mut self, _: u64, _: Time) {}

    pub(super) const fn wait_no_more(&mut self) {}

    pub(super) const fn missed(&mut self, _: u64) {}

    pub(super) const fn held(&mut self) {}

    pub(super) const fn over(&mut self) {}
}
