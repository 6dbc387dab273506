//! The windows against what each shape promises, and against everything that ever happened.

mod history;
mod shapes;

use tokio::time::Duration;

use super::{MINUTE, window::Window};
use crate::WindowShape;

const SHAPES: [WindowShape; 3] = [
    WindowShape::Sliding,
    WindowShape::Fixed,
    WindowShape::Bucket,
];

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn window(shape: WindowShape, limit: u64) -> Window {
    Window::new(shape, MINUTE, limit, 0, at(0))
}
