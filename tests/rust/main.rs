//! Tests that cross crates: the SDK leaf, the gateway and the simulator, over real sockets.

mod answers;
mod call;
mod faults;
mod local;
mod streams;
