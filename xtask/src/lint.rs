//! `cargo xtask lint`: what can be said of the code without running it.

use std::{
    ffi::OsString,
    fs,
    process::{Command, ExitCode, Stdio},
};

use anyhow::Result;

use crate::{
    command::{self, cargo},
    paths,
    report::Report,
};

/// The cargo-deny that is installed where there is none.
const CARGO_DENY: &str = "0.20.2";

/// Runs every check, whatever the ones before it said.
pub(crate) fn run() -> Result<ExitCode> {
    let mut report = Report::default();
    report.step("format", || {
        command::run(cargo().args(["fmt", "--all", "--check"]))
    });
    report.step("clippy", || {
        command::run(
            cargo()
                .args(["clippy", "--workspace", "--all-targets", "--all-features"])
                .args(["--", "--deny=warnings"]),
        )
    });
    report.step("rustdoc", || {
        command::run(
            cargo()
                .args(["doc", "--workspace", "--all-features", "--no-deps"])
                .env("RUSTDOCFLAGS", "--deny=warnings"),
        )
    });
    report.step("licences, bans and sources", || {
        // Not `advisories`: their database is fetched, and a lint must work offline and say the same
        // today and tomorrow.
        command::run(
            Command::new(cargo_deny()?)
                .current_dir(paths::root())
                .args(["--workspace", "check", "licenses", "bans", "sources"]),
        )
    });
    Ok(report.finish())
}

/// The cargo-deny on the `PATH`, or else our own under the target folder, built once.
fn cargo_deny() -> Result<OsString> {
    let works = |program: &OsString| {
        let mut version = Command::new(program);
        version.arg("--version").stdout(Stdio::null());
        version.status().is_ok_and(|status| status.success())
    };
    let on_path = OsString::from("cargo-deny");
    if works(&on_path) {
        return Ok(on_path);
    }
    let tools = paths::target()?.join("tools");
    let own = tools.join("bin/cargo-deny").into_os_string();
    if !works(&own) {
        println!("cargo-deny is not installed: building {CARGO_DENY}, which takes minutes, once");
        let build = tools.join("build");
        command::run(
            cargo()
                .args(["install", "cargo-deny", "--locked", "--quiet"])
                .args(["--version", CARGO_DENY, "--root"])
                .arg(&tools)
                .arg("--target-dir")
                .arg(&build)
                // Its own profile takes minutes more to build, for a program that runs two seconds as it is.
                .env("CARGO_PROFILE_RELEASE_LTO", "off")
                .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "256")
                .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
        )?;
        fs::remove_dir_all(build)?;
    }
    Ok(own)
}
