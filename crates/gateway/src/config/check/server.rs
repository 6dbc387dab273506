//! `[server]`

use tokio::time::Duration;

use super::InvalidConfig;
use crate::config::Server;

pub(super) fn server(server: Server) -> Result<Server, InvalidConfig> {
    const MAX_BYTES: usize = u32::MAX as usize;
    const DAY: Duration = Duration::from_secs(86_400);
    let sizes = [
        ("max_connections", server.max_connections, 1, 1_000_000),
        ("max_body_bytes", server.max_body_bytes, 1, MAX_BYTES),
        (
            "max_buffered_bytes",
            server.max_buffered_bytes,
            // One of the largest bodies has to fit.
            server.max_body_bytes,
            MAX_BYTES,
        ),
    ];
    for (key, value, min, max) in sizes {
        if !(min..=max).contains(&value) {
            let key = format!("server.{key}");
            return Err(InvalidConfig::value(
                &key,
                value,
                &format!("{min} to {max}"),
            ));
        }
    }
    let times = [
        ("idle_timeout", server.idle_timeout),
        ("body_timeout", server.body_timeout),
        ("write_timeout", server.write_timeout),
        ("drain_timeout", server.drain_timeout),
    ];
    for (key, value) in times {
        if value.is_zero() || value > DAY {
            let key = format!("server.{key}");
            let expected = r#"a time such as "30s", above zero and at most "1day""#;
            return Err(InvalidConfig::value(&key, value, expected));
        }
    }
    Ok(server)
}
