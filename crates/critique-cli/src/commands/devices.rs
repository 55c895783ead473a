//! `critique-rl devices`.

use critique_model::{DeviceInfo, available};
use serde_json::json;

use crate::failure::Failure;
use crate::output::out;

/// Lists the devices of this build and machine.
///
/// They are what `device` may be in run files and after `--device`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Prints one JSON list
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let devices = available();
    if args.json {
        let one = |d: &DeviceInfo| json!({"name": d.name, "compiled": d.compiled, "found": d.found, "note": d.note});
        return out::say_json(&devices.iter().map(one).collect::<Vec<_>>());
    }
    let rows = devices.iter().map(|device| {
        let ready = if device.compiled && device.found {
            "ready"
        } else {
            "-"
        };
        [device.name.clone(), ready.to_owned(), device.note.clone()]
    });
    out::say(out::columns(
        ["device", "", "what it is, or what is missing"],
        rows,
    ))
}
