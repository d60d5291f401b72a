use std::path::Path;

use codec_wire::{Codec, Decoded, hex};
use serde::Deserialize;

use super::{Framing, Subject, assert_whole, decode_whole};

/// A file of vectors. Each is an array of strings and numbers:
///
/// - a frame: what it shows, mode, bytes in hex, JSON, and bytes as we write them if they differ;
/// - a refused one: what it shows, mode, bytes, kind, code, offset, requirement.
///
/// The mode is left out where the codec has only one, and the code where refusals have none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    packets: Vec<Vec<String>>,
    refused: Vec<Vec<toml::Value>>,
}

/// The bytes of a vector, accepted or refused.
#[derive(Clone, Debug)]
pub struct Vector {
    /// The state in which the codec begins.
    pub mode: String,
    /// The frame.
    pub bytes: Vec<u8>,
}

struct Accepted {
    what: String,
    mode: String,
    bytes: Vec<u8>,
    json: serde_json::Value,
    written: Vec<u8>,
}

struct Refused {
    what: String,
    mode: String,
    bytes: Vec<u8>,
    kind: String,
    code: u16,
    offset: usize,
    requirement: String,
}

/// Checks all vectors of the file `name`.
///
/// # Panics
/// The codec says something else, or the file is not as it should be.
pub fn vectors<S: Subject>(name: &str) {
    let (accepted, refused) = file::<S>(name);
    for vector in &accepted {
        check_accepted::<S>(vector);
    }
    for vector in &refused {
        check_refused::<S>(vector);
    }
}

/// All vectors of the codec's own.
///
/// # Panics
/// A file is not as it should be.
#[must_use]
pub fn all_vectors<S: Subject>() -> Vec<Vector> {
    let mut all = Vec::new();
    for (name, _) in S::VECTORS {
        let (accepted, refused) = file::<S>(name);
        all.extend(accepted.into_iter().map(|it| Vector { mode: it.mode, bytes: it.bytes }));
        all.extend(refused.into_iter().map(|it| Vector { mode: it.mode, bytes: it.bytes }));
    }
    all
}

/// What the refused vectors of the file `name` show, and the requirements that they break.
///
/// # Panics
/// The file is not as it should be.
#[must_use]
pub fn refused_requirements<S: Subject>(name: &str) -> Vec<(String, String)> {
    let (_, refused) = file::<S>(name);
    refused.into_iter().map(|vector| (vector.what, vector.requirement)).collect()
}

/// No file in `folder` is forgotten.
///
/// # Panics
/// One is.
pub fn every_file_is_listed<S: Subject>(folder: &str) {
    let mut files: Vec<String> = Vec::new();
    for entry in Path::new(folder).read_dir().unwrap() {
        files.push(entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned());
    }
    let mut listed: Vec<&str> = S::VECTORS.iter().map(|(name, _)| *name).collect();
    files.sort();
    listed.sort_unstable();
    assert_eq!(listed, files);
}

fn file<S: Subject>(name: &str) -> (Vec<Accepted>, Vec<Refused>) {
    let (_, text) = S::VECTORS.iter().find(|(file, _)| *file == name).expect("a listed file");
    let file: File = toml::from_str(text).unwrap_or_else(|error| panic!("{name}: {error}"));
    let accepted = file.packets.into_iter().map(accepted::<S>).collect();
    (accepted, file.refused.into_iter().map(refused::<S>).collect())
}

fn accepted<S: Subject>(mut fields: Vec<String>) -> Accepted {
    if S::MODES.len() == 1 {
        fields.insert(1, S::MODES[0].to_owned());
    }
    let [what, mode, bytes, json, rest @ ..] = &fields[..] else { panic!("too short: {fields:?}") };
    assert!(rest.len() <= 1, "too long: {fields:?}");
    let hex = |text: &String| hex::decode(text).unwrap_or_else(|e| panic!("{what}: {e}"));
    Accepted {
        what: what.clone(),
        mode: mode.clone(),
        bytes: hex(bytes),
        json: serde_json::from_str(json).unwrap_or_else(|e| panic!("{what}: {e}")),
        written: hex(rest.first().unwrap_or(bytes)),
    }
}

fn refused<S: Subject>(mut fields: Vec<toml::Value>) -> Refused {
    if S::MODES.len() == 1 {
        fields.insert(1, S::MODES[0].into());
    }
    if fields.len() == 6 {
        fields.insert(4, 0.into());
    }
    assert_eq!(fields.len(), 7, "{fields:?}");
    let text = |at: usize| fields[at].as_str().unwrap_or_else(|| panic!("{fields:?}")).to_owned();
    let number = |at: usize| fields[at].as_integer().unwrap_or_else(|| panic!("{fields:?}"));
    Refused {
        what: text(0),
        mode: text(1),
        bytes: hex::decode(&text(2)).unwrap(),
        kind: text(3),
        code: number(4).try_into().unwrap(),
        offset: number(5).try_into().unwrap(),
        requirement: text(6),
    }
}

fn check_accepted<S: Subject>(vector: &Accepted) {
    let Accepted { what, mode, bytes, json, written } = vector;
    assert_whole::<S>(&S::codec(mode), bytes);
    let (mut codec, mut again) = (S::codec(mode), Vec::new());
    let frame = decode_whole(&mut codec, bytes).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(S::json(&frame), *json, "{what}");
    codec.encode(&frame, &mut again).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(hex::encode(&again), hex::encode(written), "{what}");
    let read = decode_whole(&mut codec, &again).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(read, frame, "{what}");
}

fn check_refused<S: Subject>(vector: &Refused) {
    let Refused { what, mode, bytes, .. } = vector;
    let error = match S::codec(mode).decode(bytes) {
        Err(error) => error,
        other => panic!("{what}: {other:?}"),
    };
    let found = (error.kind.to_string(), error.code, error.offset, error.requirement);
    let expected = (vector.kind.clone(), vector.code, vector.offset, &*vector.requirement);
    assert_eq!(found, expected, "{what}: {error}");
    S::check_error(&error);
    if S::FRAMING != Framing::Stream {
        return;
    }
    // Before the last byte there is either the same refusal or none.
    for len in 0..bytes.len() {
        match S::codec(mode).decode(&bytes[..len]) {
            Ok(Decoded::Need(need)) => assert!(need > len, "{what}"),
            Err(early) => assert_eq!(early, error, "{what}"),
            Ok(frame) => panic!("{what}: {frame:?}"),
        }
    }
}
