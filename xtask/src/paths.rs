//! Where things are.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

/// The workspace's folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
}

/// Cargo's target folder, wherever it was told to have it: this program is `TARGET/debug/xtask`.
pub(crate) fn target() -> Result<PathBuf> {
    env::current_exe()?
        .ancestors()
        .nth(2)
        .map(Path::to_path_buf)
        .context("xtask does not run from Cargo's target folder: start it as `cargo xtask`")
}

/// A program that Cargo built with a profile, `debug` or `release`.
pub(crate) fn program(profile: &str, name: &str) -> Result<PathBuf> {
    let file = format!("{name}{}", env::consts::EXE_SUFFIX);
    Ok(target()?.join(profile).join(file))
}
