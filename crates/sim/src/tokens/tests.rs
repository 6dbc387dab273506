use proptest::prelude::*;

use super::*;

fn count(text: &str) -> u64 {
    let mut input = Input::default();
    input.add_text(text);
    input.milli_tokens
}

#[test]
fn each_piece_counts_as_the_table_says() {
    let cases = [
        ("", 0),
        (" ", 0),
        ("\n", 1_000),
        ("  ", 1_000),
        ("hello", 1_000),
        ("simulated", 2_000),
        ("a b", 2_000),
        ("a  b", 3_000),
        ("1234", 2_000),
        ("{}", 1_000),
        ("}}}", 2_000),
        ("日本語", 3 * 1_130),
        ("né", 1_000 + 450),
        ("🦀", 2_000),
    ];
    for (text, milli) in cases {
        assert_eq!(count(text), milli, "{text:?}");
    }
}

/// What a client sees of two texts can be the same while their tokens are not.
#[test]
fn content_of_one_size_differs_in_tokens() {
    let prose = "The quick brown fox jumps over the lazy dog, and nobody minds.";
    let json = r#"{"id":17,"ok":true,"tags":["a","b"],"at":"2026-11-02","n":null}"#;
    assert!(count(json) * prose.len() as u64 > count(prose) * json.len() as u64 * 13 / 10);
}

/// The densities given for text that nobody wrote are those of typical real text.
#[test]
fn classes_are_as_dense_as_real_text() {
    let prose = "A rate limiter decides which requests may pass and which of them have to wait. \
                 It does so by counting what was used in the recent past, and by comparing that \
                 with what was agreed upon. The details are where the difficulty lies: a window \
                 that slides is exact but has to remember every event, while a bucket remembers \
                 nothing and forgives a little more than it should.";
    let code = "impl<S, R> Service<R> for Timeout<S>\nwhere\n    S: Service<R>,\n{\n    type Response = \
                S::Response;\n\n    fn call(&mut self, request: R) -> Self::Future {\n        let response \
                = self.inner.call(request);\n        let sleep = sleep(self.timeout);\n        \
                ResponseFuture::new(response, sleep)\n    }\n}\n";
    let json = r#"{"orders":[{"id":10234,"customer":"Ada Lovelace","total":129.95,"items":[{"sku":"A-113","quantity":2}]},{"id":10235,"customer":"Alan Turing","total":18.5,"items":[]}]}"#;
    let cjk = "速率限制器决定哪些请求可以通过哪些请求必须等待它通过计算最近使用的数量来做到这一点";
    for (class, text) in [
        (ContentClass::Prose, prose),
        (ContentClass::Code, code),
        (ContentClass::Json, json),
        (ContentClass::Cjk, cjk),
    ] {
        let real = count(text) as f64 / text.len() as f64;
        let given = class.milli_tokens_per_byte() as f64;
        assert!(
            (real / given - 1.0).abs() < 0.1,
            "{class:?}: {real} a byte, given {given}"
        );
    }
}

#[test]
fn tools_bring_their_preamble_once() {
    let mut input = Input::default();
    input.add_tool_json("{}");
    input.add_tool_json("{}");
    assert_eq!(input.milli_tokens, TOOL_PREAMBLE + 2 * 1_100);
    assert_eq!(input.content().tool_bytes, 4);
}

#[test]
fn huge_inputs_saturate() {
    let mut input = Input::of_tokens(u64::MAX);
    for class in ContentClass::ALL {
        input.add(class, u64::MAX);
    }
    input.add_text("more");
    assert_eq!(input.tokens(10.0), u64::MAX);
}

proptest! {
    #[test]
    fn any_text_counts_and_longer_text_counts_no_less(text in any::<String>(), more in any::<char>()) {
        let longer = format!("{text}{more}");
        prop_assert!(count(&longer) >= count(&text));
        prop_assert!(count(&text) <= 2_000 * text.len() as u64);
    }
}
