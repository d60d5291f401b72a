//! The command `decode`.

use std::fs::File;
use std::io::{self, Read};

use clap::Args;

use super::{Exit, complain, print};
use crate::Registration;
use crate::decode::{Input, Reading};

#[derive(Args)]
pub(super) struct DecodeArgs {
    /// Protocol, such as mqtt
    gateway: String,
    /// The bytes in hexadecimal, with white space and colons as you like; `@FILE` for those in a
    /// file, which may also be a capture (pcap, pcapng) or the bytes themselves; `-` for standard
    /// input, which may be the same
    #[arg(value_name = "HEX|@FILE|-", required = true)]
    bytes: Vec<String>,
    /// Version of the protocol (mqtt: 3.1, 3.1.1, 5); without it a CONNECT at the start tells it,
    /// and anything else is taken for the newest
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    /// Of a capture only what goes from or to this port; may be given several times
    #[arg(long, value_name = "PORT")]
    port: Vec<u16>,
}

pub(super) fn run(args: &DecodeArgs, gateways: &[Registration]) -> Exit {
    let decoders = || gateways.iter().filter_map(|known| Some((known, known.decoder?)));
    let Some((gateway, decoder)) = decoders().find(|(known, _)| known.name == args.gateway) else {
        let names: Vec<_> = decoders().map(|(known, _)| known.name).collect();
        complain(&format!("no decoder for {}; there is: {}", args.gateway, names.join(", ")));
        return Exit::Usage;
    };
    let version = args.version.as_deref();
    if version.is_some_and(|version| !decoder.versions.contains(&version)) {
        complain(&format!("no such version; there is: {}", decoder.versions.join(", ")));
        return Exit::Usage;
    }
    let input = match input(&args.bytes) {
        Ok(input) => input,
        Err(error) => return complain(&error),
    };
    let shown = Reading { gateway, decoder, version, ports: &args.port }.show(input);
    let lines: String = shown.lines.iter().map(|line| format!("{line}\n")).collect();
    match (print(&lines), shown.has_errors) {
        (Exit::Done, true) => Exit::BadInput,
        (exit, _) => exit,
    }
}

/// What the arguments name, or say.
fn input(arguments: &[String]) -> Result<Input, String> {
    let content = match arguments {
        [one] if one == "-" => {
            read(io::stdin().lock()).map_err(|error| format!("standard input: {error}"))?
        }
        [one] if one.starts_with('@') => {
            let name = one.get(1..).unwrap_or("");
            File::open(name).and_then(read).map_err(|error| format!("{name}: {error}"))?
        }
        _ => return Input::of_text(&arguments.join(" ")),
    };
    Input::of_file(content)
}

fn read(from: impl Read) -> io::Result<Vec<u8>> {
    /// Room for the largest MQTT packet in hexadecimal; a wrong file does not fill the memory.
    const INPUT_BYTES_MAX: u64 = 1 << 30;
    let mut content = Vec::new();
    from.take(INPUT_BYTES_MAX + 1).read_to_end(&mut content)?;
    match content.len() as u64 > INPUT_BYTES_MAX {
        true => Err(io::Error::other("more than 1GiB")),
        false => Ok(content),
    }
}
