//! Runs an experiment, or all of them, and writes their pages.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use experiments::{EXPERIMENTS, Options};

/// Runs the experiments of tower-bedrock in simulated time, prints their tables and writes their pages.
#[derive(Debug, Parser)]
struct Arguments {
    /// The experiments to run, by name, or "all".
    #[arg(required = true)]
    names: Vec<String>,

    /// The seed of all randomness: the same seed gives the same figures.
    #[arg(long, default_value_t = Options::default().seed)]
    seed: u64,

    /// Runs fewer and shorter simulations, and writes nothing.
    #[arg(long)]
    quick: bool,

    /// Where the pages are written.
    #[arg(long, default_value = "docs/experiments")]
    out: PathBuf,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let options = Options {
        seed: arguments.seed,
        quick: arguments.quick,
    };
    for name in &arguments.names {
        let known = EXPERIMENTS
            .iter()
            .filter(|(known, _)| name == "all" || name == known);
        let mut known = known.peekable();
        if known.peek().is_none() {
            let names = EXPERIMENTS.map(|(name, _)| name).join(", ");
            bail!("experiment {name:?} is not known: expected all, or one of {names}");
        }
        for (name, run) in known {
            eprintln!("{name}, seed {} ...", options.seed);
            let report = run(&options).with_context(|| format!("experiment {name}"))?;
            println!("{}", report.markdown());
            if !options.quick {
                report.write(&arguments.out)?;
            }
        }
    }
    Ok(())
}
