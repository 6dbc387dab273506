//! Cargo's subcommands that others wrote: those on the `PATH`, or else our own under the target folder.

use std::{
    ffi::OsString,
    fs,
    process::{Command, Stdio},
};

use anyhow::Result;

use crate::{
    command::{self, cargo},
    paths,
};

/// A program of a crate of the same name, built once where it is not installed, in the given version.
pub(crate) fn program(name: &str, version: &str) -> Result<OsString> {
    let subcommand = name.strip_prefix("cargo-").unwrap_or(name);
    let on_path = OsString::from(name);
    if works(&on_path, subcommand) {
        return Ok(on_path);
    }
    let tools = paths::target()?.join("tools");
    let own = tools.join("bin").join(name).into_os_string();
    if !works(&own, subcommand) {
        println!("{name} is not installed: building {version}, which takes minutes, once");
        let build = tools.join("build");
        command::run(
            cargo()
                .args(["install", name, "--locked", "--quiet"])
                .args(["--version", version, "--root"])
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

/// Asked as Cargo asks its subcommands: by their names first.
fn works(program: &OsString, subcommand: &str) -> bool {
    let mut version = Command::new(program);
    version
        .args([subcommand, "--version"])
        .stdout(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}
