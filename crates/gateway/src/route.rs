//! What a request's path asks for.

use http::Method;
use percent_encoding::percent_decode_str;
use tower_bedrock_core::ModelId;

use crate::{Operation, wire_error::WireError};

/// What a request's path asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// An operation that policies apply to.
    Operation(Operation, ModelId),
    /// Anything else that Bedrock's runtime may serve.
    PassThrough,
}

impl Route {
    /// Reads a path, percent-encoding and all.
    ///
    /// # Errors
    ///
    /// What nobody should send on: a path that means another one once it is normalised, and a model id
    /// that cannot be one.
    pub(crate) fn parse(method: &Method, path: &str) -> Result<Self, WireError> {
        check(path)?;
        let Some((model, segment)) = path
            .strip_prefix("/model/")
            .and_then(|rest| rest.rsplit_once('/'))
        else {
            return Ok(Self::PassThrough);
        };
        if segment == "invoke-with-bidirectional-stream" {
            return Err(WireError::validation(
                "InvokeModelWithBidirectionalStream needs HTTP/2 from end to end; call Bedrock directly.",
            ));
        }
        let operation = Operation::ALL
            .into_iter()
            .find(|operation| operation.segment() == segment);
        match operation {
            Some(operation) if method == Method::POST => {
                // `check` has seen that it decodes.
                let model = percent_decode_str(model).decode_utf8_lossy();
                let model = model
                    .parse()
                    .map_err(|error| WireError::validation(format!("{error}.")))?;
                Ok(Self::Operation(operation, model))
            }
            _ => Ok(Self::PassThrough),
        }
    }
}

/// Lets through only a path that everyone on the way reads alike, since it is forwarded as it is: no
/// empty, `.` or `..` part, encoded or not, no control character and no broken encoding.
fn check(path: &str) -> Result<(), WireError> {
    let refuse = |what: &str| {
        Err(WireError::validation(format!(
            "The path is not valid: {what}."
        )))
    };
    let Some(relative) = path.strip_prefix('/') else {
        return refuse("it has to start with '/'");
    };
    // Paths of a server's own, such as the simulator's control calls, are no operations of Bedrock's.
    if relative.starts_with('_') {
        return Err(WireError::unknown_operation());
    }
    if !well_encoded(relative) {
        return refuse("expected two hexadecimal digits after every '%'");
    }
    let Ok(decoded) = percent_decode_str(relative).decode_utf8() else {
        return refuse("expected UTF-8");
    };
    if decoded.chars().any(char::is_control) {
        return refuse("it contains a control character");
    }
    let mut parts = decoded.split(['/', '\\']);
    if parts.any(|part| matches!(part, "" | "." | "..")) {
        return refuse("it contains an empty part, '.' or '..'");
    }
    Ok(())
}

fn well_encoded(path: &str) -> bool {
    path.split('%').skip(1).all(|rest| {
        let digits = rest.as_bytes();
        digits.len() >= 2 && digits[..2].iter().all(u8::is_ascii_hexdigit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str) -> Result<Route, WireError> {
        Route::parse(&Method::POST, path)
    }

    #[test]
    fn the_five_operations_with_any_form_of_model_id() {
        let ids = [
            ("amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
            ("us.amazon.nova-lite-v1%3A0", "us.amazon.nova-lite-v1:0"),
            (
                "arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Ainference-profile%2Fus.a.b",
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.a.b",
            ),
            (
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.a.b",
                "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.a.b",
            ),
        ];
        for operation in Operation::ALL {
            for (sent, meant) in ids {
                let path = format!("/model/{sent}/{}", operation.segment());
                let expected = Route::Operation(operation, meant.parse().unwrap());
                assert_eq!(parse(&path).unwrap(), expected, "{path}");
            }
        }
    }

    #[test]
    fn everything_else_of_the_runtime_passes_through() {
        for path in [
            "/async-invoke",
            "/async-invoke/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aasync-invoke%2Fx",
            "/guardrail/g/version/1/apply",
            "/guardrail-checks/invoke",
            "/model/a.b/something-new",
            "/openai/v1/chat/completions",
        ] {
            assert_eq!(parse(path).unwrap(), Route::PassThrough, "{path}");
        }
        let get = Route::parse(&Method::GET, "/model/a.b/converse");
        assert_eq!(get.unwrap(), Route::PassThrough);
    }

    #[test]
    fn a_path_that_could_be_read_in_two_ways_is_refused() {
        for path in [
            "*",
            "/",
            "//async-invoke",
            "/model/../guardrail/g",
            "/model/a.b/./converse",
            "/model/%2e%2E/converse",
            "/model/a%2f..%2Fb/converse",
            "/model/a%5c..%5Cb/converse",
            "/model/a%00b/converse",
            "/model/a%0d%0ab/converse",
            "/model/a%zzb/converse",
            "/model/a%4",
            "/model/a%ff/converse",
            "/model/a b/converse",
            "/model//converse",
            "/async-invoke/",
        ] {
            let error = parse(path).unwrap_err();
            assert_eq!(error.status(), 400, "{path}");
        }
        assert_eq!(parse("/_sim/reset").unwrap_err().status(), 404);
    }
}
