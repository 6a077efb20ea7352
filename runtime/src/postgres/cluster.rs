//! The data folder: made by `initdb` the first time, checked afterwards, and the databases in it.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::account::{Account, clean_command};
use super::binaries::Binaries;
use super::folder::Folder;
use super::{Address, Error, ROLE, failed_to};

/// How much of a failed program's output an error shows, in bytes.
const SHOWN_OUTPUT: usize = 2048;

/// Makes the data folder if there is none, and returns the programs that fit it.
pub(super) fn prepare(folder: &Folder, account: &Account, fsync: bool) -> Result<Binaries, Error> {
    let data = folder.data();
    if let Some(major) = written_by(&data)? {
        return Binaries::find(Some((major, &data)));
    }
    let binaries = Binaries::find(None)?;
    initialise(folder, account, &binaries, fsync)?;
    Ok(binaries)
}

/// Creates a database; an existing one is left alone.
pub(super) fn create_database(binaries: &Binaries, address: &Address, name: &str) -> Result<(), Error> {
    let mut command = clean_command(&binaries.createdb());
    command.arg("-h").arg(&address.socket_folder).args(["-p", &address.port.to_string()]);
    command.args(["-U", ROLE, "--maintenance-db", "postgres", name]);
    let output = output_of(&mut command)?;
    if output.status.success() || String::from_utf8_lossy(&output.stderr).contains("already exists") {
        return Ok(());
    }
    Err(failure(&command, &output))
}

/// The databases that were created in this folder so far. PostgreSQL is not asked, because that takes a client;
/// an unreadable list only means that they are tried again.
pub(super) fn known_databases(folder: &Folder) -> Vec<String> {
    let text = fs::read_to_string(folder.databases()).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// Notes the databases that exist now.
pub(super) fn remember_databases<'a>(
    folder: &Folder,
    names: impl Iterator<Item = &'a str>,
) -> Result<(), Error> {
    let text: String = names.map(|name| format!("{name}\n")).collect();
    folder.write(&folder.databases(), &text, 0o600)
}

/// The major version that wrote `data`, or `None` when there is no data yet.
fn written_by(data: &Path) -> Result<Option<u32>, Error> {
    let path = data.join("PG_VERSION");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(failed_to("reading", &path)(source)),
    };
    let major = text.trim().split('.').next().and_then(|major| major.parse().ok());
    let unreadable = || io::Error::new(io::ErrorKind::InvalidData, format!("it says {:?}", text.trim()));
    major.map(Some).ok_or_else(|| failed_to("reading the version in", &path)(unreadable()))
}

/// Runs `initdb` in a folder of another name and renames it when it is whole, so that a start that was cut short
/// leaves nothing that looks like data.
fn initialise(folder: &Folder, account: &Account, binaries: &Binaries, fsync: bool) -> Result<(), Error> {
    let unfinished = folder.unfinished_data();
    match fs::remove_dir_all(&unfinished) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(failed_to("removing", &unfinished)(source));
        }
        Ok(()) | Err(_) => {}
    }
    DirBuilder::new().mode(0o700).create(&unfinished).map_err(failed_to("making", &unfinished))?;
    account.own(&unfinished)?;
    remember_databases(folder, std::iter::empty())?;

    let mut command = account.command(&binaries.initdb());
    command.arg("-D").arg(&unfinished).args(["-U", ROLE, "--auth=reject"]);
    // Byte order: the same on every machine, and it cannot change under an index when the system's locale does.
    command.args(["--encoding=UTF8", "--no-locale"]);
    if !fsync {
        command.arg("--no-sync");
    }
    let output = output_of(&mut command)?;
    if !output.status.success() {
        return Err(failure(&command, &output));
    }
    let data = folder.data();
    fs::rename(&unfinished, &data).map_err(failed_to("naming", &data))?;
    folder.link_data();
    tracing::info!(data = %data.display(), version = binaries.major, "initialised a private PostgreSQL");
    Ok(())
}

fn output_of(command: &mut Command) -> Result<Output, Error> {
    let output = command.stdin(Stdio::null()).output();
    output.map_err(|source| Error::Io { doing: format!("running {}", program(command)), source })
}

fn failure(command: &Command, output: &Output) -> Error {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    let begin = text.len().saturating_sub(SHOWN_OUTPUT);
    Error::Program {
        program: program(command),
        status: output.status.to_string(),
        output: String::from_utf8_lossy(&text[begin..]).trim().to_owned(),
    }
}

fn program(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}
