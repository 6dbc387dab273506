mod dead;
mod link;
mod model;
mod script;

#[path = "../../../tests/support/redis_server.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests outside")]
mod redis_server;
