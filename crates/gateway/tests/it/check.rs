//! `bedrock-gateway check`, as whoever deploys a configuration runs it.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

fn check(file: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bedrock-gateway"))
        .args(["check", "--config"])
        .arg(file)
        .output()
        .unwrap()
}

/// The exit code, and what was printed on standard output and standard error.
fn checked(toml: &str) -> (Option<i32>, String, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("gateway.toml");
    fs::write(&file, toml).unwrap();
    let output = check(&file);
    let [stdout, stderr] =
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    (output.status.code(), stdout, stderr)
}

#[test]
fn a_valid_file_is_said_to_be_so() {
    let (code, stdout, stderr) = checked("[retry]\nmax_attempts = 3\n[[quota]]\n");
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(stdout, "The configuration is valid.\n");
    assert_eq!(stderr, "");
}

#[test]
fn what_is_wrong_is_named_with_the_file_the_field_and_what_is_accepted() {
    for (toml, parts) in [
        (
            "[upstream]\nkind = \"azure\"",
            &["upstream.kind", "\"azure\"", "\"aws\""][..],
        ),
        (
            "[retry]\nmax_attempt = 3",
            &["line 2", "`max_attempt`", "`max_attempts`"],
        ),
        ("[cache]\nmax_bytes = 10", &["cache.max_bytes", "1024"]),
        (
            "[breaker]\nhalf_open_probes = 0",
            &["half_open_probes", "0"],
        ),
        (
            "[tls]\ncertificate = \"/nowhere/c.pem\"\nkey = \"/nowhere/k.pem\"",
            &["tls.certificate", "/nowhere/c.pem"],
        ),
    ] {
        let (code, stdout, stderr) = checked(toml);
        assert_eq!(code, Some(1), "{toml}: {stderr}");
        assert_eq!(stdout, "", "{toml}");
        assert!(stderr.starts_with("bedrock-gateway: "), "{stderr}");
        for part in ["gateway.toml"].iter().chain(parts) {
            assert!(stderr.contains(part), "{part} is not in {stderr}");
        }
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let output = check(Path::new("/nowhere/gateway.toml"));
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("cannot read /nowhere/gateway.toml"),
        "{stderr}"
    );
}
