//! The everyday commands: `cargo xtask test`, `cargo xtask lint`, `cargo xtask bench`, `cargo xtask experiment`.

mod bench;
mod command;
mod experiment;
mod features;
mod lint;
mod nightly;
mod packages;
mod paths;
mod python;
mod report;
mod soak;
mod tally;
mod test;
mod tools;

use std::process::ExitCode;

use anyhow::{Result, bail};
use lexopt::{Arg, Parser, ValueExt};

use crate::test::Sort;

const HELP: &str = "\
usage: cargo xtask COMMAND

  test [--only rust|doc|python]   unit, property and integration tests, doc tests, real clients
  lint                            format, clippy, rustdoc, cargo-deny
  features                        each feature of each crate alone, none, and all: whether it builds
  nightly                         ten million steps of the quota, and every interleaving of its locks: an hour
  bench                           both of these
  bench gateway                   requests a second and added latency, beside a bare hyper proxy
  bench layers                    what a call through each layer costs, beside its peers
  experiment NAME... [--seed N]   simulations that compare clients, with pages in docs/experiments; `all` runs each
  soak [--minutes 30] [--seed 1]  the gateway under overload, faults and clients that vanish: nothing is left behind
";

fn main() -> ExitCode {
    match run(Parser::from_env()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut args: Parser) -> Result<ExitCode> {
    match subcommand(&mut args)?.as_str() {
        "help" => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        "test" => {
            let mut only = None;
            while let Some(arg) = args.next()? {
                match arg {
                    Arg::Long("only") => only = Some(Sort::named(&args.value()?.string()?)?),
                    other => return Err(other.unexpected().into()),
                }
            }
            test::run(only)
        }
        "lint" => {
            nothing_more(&mut args)?;
            lint::run()
        }
        "features" => {
            nothing_more(&mut args)?;
            features::run()
        }
        "nightly" => {
            nothing_more(&mut args)?;
            nightly::run()
        }
        "bench" => {
            let name = match args.next()? {
                Some(Arg::Value(name)) => Some(name.string()?),
                Some(other) => return Err(other.unexpected().into()),
                None => None,
            };
            nothing_more(&mut args)?;
            bench::run(name.as_deref())
        }
        "experiment" => experiment::run(args.raw_args()?),
        "soak" => soak::run(args),
        other => bail!("no command {other:?}\n\n{HELP}"),
    }
}

/// The next word; `help` where there is none or help was asked for.
fn subcommand(args: &mut Parser) -> Result<String> {
    match args.next()? {
        None | Some(Arg::Short('h') | Arg::Long("help")) => Ok("help".to_owned()),
        Some(Arg::Value(word)) => Ok(word.string()?),
        Some(other) => Err(other.unexpected().into()),
    }
}

fn nothing_more(args: &mut Parser) -> Result<()> {
    match args.next()? {
        None => Ok(()),
        Some(other) => Err(other.unexpected().into()),
    }
}
