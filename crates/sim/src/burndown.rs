/// How many tokens of quota an output token of a base model uses up, by AWS's published rates of November
/// 2026: 15 for Claude 4.8; 10 for Claude Opus 5, Opus 5.5, Sonnet 5, Fable 5.1 and GPT-5.6 Sol, Terra and
/// Luna; 5 for the other Anthropic models up to 4.7; 1 for everything else.
///
/// It reads family and version out of the id, where the client's table has patterns: two ways to the same
/// rates, so that one mistake cannot hide in both.
pub(crate) fn burndown(base: &str) -> u64 {
    if let Some(name) = base.strip_prefix("anthropic.claude-") {
        let (family, version) = family_and_version(name);
        return match (family, version) {
            (_, (4, 8)) => 15,
            ("opus" | "sonnet", (5, _)) | ("fable", (5, 1)) => 10,
            (_, (0..=4, _)) => 5,
            _ => 1,
        };
    }
    let is_gpt_5_6 = ["openai.gpt-5.6-", "openai.gpt-5-6-"].iter().any(|prefix| {
        base.strip_prefix(prefix).is_some_and(|name| {
            ["sol", "terra", "luna"]
                .iter()
                .any(|size| name.starts_with(size))
        })
    });
    if is_gpt_5_6 { 10 } else { 1 }
}

/// `3-7-sonnet-20250219-v1:0` and `sonnet-4-5-20250929-v1:0` alike: the first word that is a name, and the
/// first one or two numbers too short for a date. Ids without a number of their own (`instant-v1`, `v2:1`)
/// are older than all that have one.
fn family_and_version(name: &str) -> (&str, (u32, u32)) {
    let words = || name.split('-');
    let number = |word: &str| {
        (word.len() <= 2)
            .then(|| word.parse::<u32>().ok())
            .flatten()
    };
    let family = words().find(|word| number(word).is_none()).unwrap_or(name);
    let mut numbers = words()
        .skip_while(|word| number(word).is_none())
        .map_while(number);
    let major = numbers.next().unwrap_or(0);
    (family, (major, numbers.next().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_published() {
        let cases = [
            ("anthropic.claude-opus-4-8-20260611-v1:0", 15),
            ("anthropic.claude-sonnet-4-8", 15),
            ("anthropic.claude-opus-5-20260801-v1:0", 10),
            ("anthropic.claude-opus-5-5-v1:0", 10),
            ("anthropic.claude-sonnet-5", 10),
            ("anthropic.claude-fable-5-1", 10),
            ("anthropic.claude-opus-4-7-v1", 5),
            ("anthropic.claude-sonnet-4-5-20250929-v1:0", 5),
            ("anthropic.claude-sonnet-4-20250514-v1:0", 5),
            ("anthropic.claude-3-7-sonnet-20250219-v1:0", 5),
            ("anthropic.claude-3-haiku-20240307-v1:0", 5),
            ("anthropic.claude-instant-v1", 5),
            ("anthropic.claude-v2:1", 5),
            ("openai.gpt-5.6-sol-v1:0", 10),
            ("openai.gpt-oss-20b-1:0", 1),
            ("amazon.nova-pro-v1:0", 1),
            ("meta.llama3-1-8b-instruct-v1:0", 1),
        ];
        for (base, rate) in cases {
            assert_eq!(burndown(base), rate, "{base}");
            // The client's table, written apart, comes to the same.
            let client = tower_bedrock_core::Burndown::default().rate(base);
            assert_eq!(u64::from(client), rate, "{base}");
        }
    }
}
