//! The README and the example configuration have every key, and nothing that the gateway would not take.

use std::collections::{BTreeMap, BTreeSet};

use bedrock_gateway::config::{CacheConfig, Config, Flags, Server};
use tower_bedrock::config::{BreakerConfig, RetryConfig, TimeoutConfig};

const README: &str = include_str!("../../README.md");
const EXAMPLE: &str = include_str!("../../gateway.example.toml");

fn parse(toml: &str) -> Result<Config, String> {
    Config::parse(toml, &Flags::default()).map_err(|error| error.to_string())
}

/// The keys that a section takes, as the refusal of one it does not take has them.
fn keys_of(header: &str) -> Option<Vec<String>> {
    let message = parse(&format!("{header}\nunknown-key = 1")).unwrap_err();
    let (_, expected) = message.split_once("unknown field `unknown-key`, expected ")?;
    let quoted = expected.split('`').skip(1).step_by(2);
    Some(quoted.map(str::to_owned).collect())
}

/// Every key there is, as `section.key`, or `section.key.key`.
fn all_keys() -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    for name in keys_of("").unwrap() {
        let section = [format!("[{name}]"), format!("[[{name}]]")];
        match section.iter().find_map(|header| keys_of(header)) {
            Some(inner) => {
                for key in inner.iter().map(|key| format!("{name}.{key}")) {
                    match keys_of(&format!("[{key}]")) {
                        Some(inner) => {
                            keys.extend(inner.iter().map(|last| format!("{key}.{last}")));
                        }
                        None => {
                            keys.insert(key);
                        }
                    }
                }
            }
            None => {
                keys.insert(name);
            }
        }
    }
    keys
}

/// The rows of the README's tables of keys: what each says of its default.
fn documented() -> BTreeMap<String, &'static str> {
    let mut rows = BTreeMap::new();
    let mut lines = README.lines();
    while lines.any(|line| line == "| key | default | meaning |") {
        lines.next();
        for row in lines.by_ref().take_while(|line| line.starts_with('|')) {
            let cells: Vec<_> = row.split(" | ").collect();
            let key = cells[0]
                .trim_matches(['|', ' '])
                .replace(['`', '[', ']'], "");
            rows.insert(key.replace(' ', "."), cells[1].trim());
        }
    }
    rows
}

/// The example's settings: those at a default and, where `alternatives` are asked for, those that exclude others.
fn settings(alternatives: bool) -> String {
    let settings = EXAMPLE.lines().filter_map(|line| {
        let line = line.strip_prefix('#')?;
        match line.strip_prefix('#') {
            Some(alternative) => alternatives.then_some(alternative),
            None => (!line.starts_with(' ')).then_some(line),
        }
    });
    settings.collect::<Vec<_>>().join("\n")
}

/// What the example sets each key to.
fn exemplified() -> BTreeMap<String, toml::Value> {
    let table: toml::Table = settings(true).parse().unwrap();
    let mut values = BTreeMap::new();
    for (name, value) in table {
        let sections = match value {
            toml::Value::Table(section) => vec![section],
            toml::Value::Array(sections) => sections
                .into_iter()
                .map(|section| section.as_table().unwrap().clone())
                .collect(),
            scalar => {
                values.insert(name, scalar);
                continue;
            }
        };
        for (key, value) in sections.into_iter().flatten() {
            match value {
                toml::Value::Table(inner) => {
                    let inner = inner.into_iter();
                    values
                        .extend(inner.map(|(last, value)| (format!("{name}.{key}.{last}"), value)));
                }
                value => {
                    values.insert(format!("{name}.{key}"), value);
                }
            }
        }
    }
    values
}

fn names<V>(map: &BTreeMap<String, V>) -> BTreeSet<String> {
    map.keys().cloned().collect()
}

#[test]
fn the_readme_has_every_key_and_no_other() {
    let keys = all_keys();
    assert!(keys.contains("retry.max_attempts") && keys.contains("client.share"));
    assert_eq!(names(&documented()), keys);
    let of_an_alternative = keys_of("[[fallback]]\n[[fallback.chain]]").unwrap();
    let row = README
        .lines()
        .find(|line| line.contains("`chain`"))
        .unwrap();
    for key in of_an_alternative {
        assert!(row.contains(&format!("`{key}`")), "{key} is not in {row}");
    }
}

#[test]
fn the_example_has_every_key_and_no_other() {
    assert_eq!(names(&exemplified()), all_keys());
    for key in keys_of("[[fallback]]\n[[fallback.chain]]").unwrap() {
        assert!(settings(false).contains(&format!("{{ {key} = ")), "{key}");
    }
}

#[test]
fn the_example_is_taken_as_it_is_and_with_all_of_it_in_force() {
    parse(EXAMPLE).unwrap();
    let all = parse(&settings(false)).unwrap();
    let default = parse("").unwrap();
    assert_eq!(all.listen, default.listen);
    assert_eq!(all.upstream, default.upstream);
    assert_eq!(all.server, Server::default());
    assert_eq!(all.stack.retry, RetryConfig::default());
    assert_eq!(all.stack.breaker, BreakerConfig::default());
    assert_eq!(all.stack.timeout, TimeoutConfig::default());
    assert_eq!(all.cache, Some(CacheConfig::default()));
    let sections = parse("[metrics]\n[cloudwatch]\n[otlp]").unwrap();
    assert_eq!(all.metrics, sections.metrics);
    assert_eq!(all.cloudwatch, sections.cloudwatch);
    assert_eq!(all.otlp, sections.otlp);
}

/// Those of the README that are values, and not words about one.
#[test]
fn the_readmes_defaults_are_the_examples() {
    let example = exemplified();
    let mut compared = 0;
    for (key, default) in documented() {
        let mut parts = default.split('`');
        let (Some(""), Some(literal), Some(""), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let written: toml::Table = format!("value = {literal}").parse().unwrap();
        // An example of a pattern is more use than the one that matches everything.
        if literal != "\"*\"" {
            assert_eq!(example[&key], written["value"], "{key}");
            compared += 1;
        }
    }
    assert!(compared > 25, "{compared}");
}

#[test]
fn the_readmes_configurations_are_taken() {
    let blocks: Vec<_> = README.split("```toml\n").skip(1).collect();
    assert!(blocks.len() > 1);
    for block in blocks {
        let toml = block.split_once("```").unwrap().0;
        parse(toml).unwrap_or_else(|error| panic!("{error} in\n{toml}"));
    }
}
