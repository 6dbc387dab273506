//! `cargo xtask soak`: the gateway under overload for a long time.

use std::{
    fs,
    process::{Command, ExitCode},
};

use anyhow::{Result, ensure};
use lexopt::Parser;

use crate::{
    bench::machine,
    command::{self, cargo},
    paths,
};

const INTRODUCTION: &str = "\
# Half an hour of overload

The gateway before two simulated models, the second as the fallback of the first, each asked for more than its quota by 64
clients, a seventh of which vanish in the middle of a call. They come back within a tenth of a second whatever the answer
was, so that most of their calls are turned away by an open circuit or a full quota and never sent. One call in eight meets a
fault, of any kind but a day's quota, before the answer or in its stream; and for a tenth of the time every twenty-fifth is
throttled as if others had used up the quota. Then the load ends, and what is left behind is looked for: in the gateway's own
`/metrics`, in its runtime's count of tasks, in the process's open files, and in the simulator's ledger.

```text
";

/// Builds the program and has it read the rest of the command line. As it comes, which takes half an hour, what it
/// says becomes a page of `docs`.
pub(crate) fn run(mut args: Parser) -> Result<ExitCode> {
    let arguments: Vec<_> = args.raw_args()?.collect();
    command::run(cargo().args([
        "build",
        "--release",
        "--package=integration-tests",
        "--bin=soak",
    ]))?;
    let mut page = INTRODUCTION.to_owned();
    let mut soak = Command::new(paths::program("release", "soak")?);
    let passed = command::run_watched(soak.args(&arguments), |line| {
        page += line;
        page.push('\n');
    })?;
    ensure!(passed, "something was left behind");
    if arguments.is_empty() {
        let machine = machine::described("cargo xtask soak")?;
        let page = format!("{page}```\n\n{machine}\n");
        fs::write(paths::root().join("docs/soak.md"), page)?;
    }
    Ok(ExitCode::SUCCESS)
}
