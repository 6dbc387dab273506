use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    thread,
};

use tower_bedrock_core::Region;

use super::Day;
use crate::{Limiter, time::Time, window::Window};

/// Or a call would be counted there when it begins, and no more when it ends.
#[test]
fn who_has_its_lock_has_a_limit_to_ask_for() {
    let region: Region = "us-east-1".parse().unwrap();
    let limit = Some((1_000, Window::Sliding));
    let day = Arc::new(Day::new(&region, limit, &Limiter::builder().config));
    let declares = {
        let day = Arc::clone(&day);
        thread::spawn(move || {
            for i in 0..50_000 {
                day.declare(limit.filter(|_| i % 2 == 0), Time::ZERO);
            }
        })
    };
    while !declares.is_finished() {
        if let Some(state) = day.lock() {
            assert!(day.active.load(Relaxed));
            drop(state);
        }
    }
}
