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
    let on_path = OsString::from(name);
    if works(&on_path) {
        return Ok(on_path);
    }
    let tools = paths::target()?.join("tools");
    let own = tools.join("bin").join(name).into_os_string();
    if !works(&own) {
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

fn works(program: &OsString) -> bool {
    let mut version = Command::new(program);
    version.arg("--version").stdout(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}
