//! `critique-rl board`: runs as live pages.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use critique_report::{Address, Board, BoardError, serve};

use crate::failure::Failure;
use crate::output::out;

/// Shows the runs under a folder in a browser, live while they write.
///
/// The pages are those of `report`, with all rollouts: these are indexed and stay on disk. It listens on
/// this machine alone; over ssh, forward the port (`ssh -L 8642:localhost:8642 HOST`).
#[derive(Debug, clap::Args)]
#[command(after_help = examples_of!(
    "critique-rl board",
    "critique-rl board runs/quickstart-1 --port 0",
))]
pub(crate) struct Args {
    /// A folder with run folders in it, or a run folder
    #[arg(value_name = "DIR", default_value = "runs")]
    folder: PathBuf,
    /// A port of this machine; 0 takes any that is free
    #[arg(long, default_value_t = 8642, value_name = "N")]
    port: u16,
    /// Another address to listen on: who reaches it reads all runs, and nobody is asked who they are
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), value_name = "ADDRESS")]
    host: IpAddr,
    /// A name of this machine that browsers may use, besides `localhost` and addresses
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let board = Board::new(&args.folder)?;
    let address = Address {
        ip: args.host,
        port: args.port,
        name: args.name.clone(),
    };
    if !args.host.is_loopback() {
        out::tell(format!(
            "warning: everybody who reaches {} can read the runs; there is no login",
            args.host
        ));
    }
    serve(board, &address, |bound| {
        // Nobody may be reading.
        let _ = out::say(format!("http://{bound}/"));
        out::tell("Ctrl-C ends it");
    })?;
    Ok(())
}

impl From<BoardError> for Failure {
    fn from(error: BoardError) -> Self {
        Self::usage(error)
    }
}
