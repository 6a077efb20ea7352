//! Scripts that are one plain command. The shell would do nothing but split it into words and replace itself by the
//! program, and its start costs more than most such programs do; GNU make starts them without one too.
//!
//! Whatever is not surely plain goes to the shell.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::iter::Peekable;
use std::path::Path;
use std::str::Chars;

use super::program::Called;
use crate::station::{is_executable, on_path};

/// What the shell does itself, or takes for grammar. Source: the reference manual of Bash, "Reserved Words" and "Shell
/// Builtin Commands".
const NOT_PROGRAMS: &[&str] = &[
    ".",
    ":",
    "alias",
    "bg",
    "bind",
    "break",
    "builtin",
    "caller",
    "case",
    "cd",
    "command",
    "compgen",
    "complete",
    "compopt",
    "continue",
    "coproc",
    "declare",
    "dirs",
    "disown",
    "do",
    "done",
    "echo",
    "elif",
    "else",
    "enable",
    "esac",
    "eval",
    "exec",
    "exit",
    "export",
    "false",
    "fc",
    "fg",
    "fi",
    "for",
    "function",
    "getopts",
    "hash",
    "help",
    "history",
    "if",
    "in",
    "jobs",
    "kill",
    "let",
    "local",
    "logout",
    "mapfile",
    "popd",
    "printf",
    "pushd",
    "pwd",
    "read",
    "readarray",
    "readonly",
    "return",
    "select",
    "set",
    "shift",
    "shopt",
    "source",
    "suspend",
    "test",
    "then",
    "time",
    "times",
    "trap",
    "true",
    "type",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unset",
    "until",
    "wait",
    "while",
];

/// How programs begin that the kernel starts, of Linux and of macOS.
const PROGRAMS: [&[u8]; 3] = [b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe"];

/// Linux looks for a script's interpreter in this many bytes. Source: `BINPRM_BUF_SIZE` in linux/binfmts.h.
const INTERPRETER_WITHIN: usize = 256;

/// The program and the arguments that `script` comes to in `folder`, if it is one plain command.
pub(super) fn plain(script: &str, folder: &Path, env: &[(OsString, OsString)]) -> Option<Called> {
    let mut words = words(script)?.into_iter();
    let name = words.next()?;
    if NOT_PROGRAMS.contains(&name.as_str()) || name.contains('=') || env.iter().any(instructs_shells) {
        return None;
    }
    let program = if name.contains('/') {
        Some(folder.join(name)).filter(|file| is_executable(file))?
    } else {
        // Of two variables of one name the last counts, as it does for the process.
        let (_, path) = env.iter().rev().find(|(name, _)| name == "PATH")?;
        // A shell searches relative folders from where it is.
        if !std::env::split_paths(path).all(|folder| folder.is_absolute()) {
            return None;
        }
        on_path(&name, path)?
    };
    starts_by_itself(&program).then(|| Called { program, args: words.map(OsString::from).collect() })
}

/// The words of a command without any expansion, substitution, redirection or second command in it.
fn words(script: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut rest = script.trim_matches([' ', '\t', '\n']).chars().peekable();
    while rest.peek().is_some() {
        words.push(word(&mut rest)?);
        while rest.next_if(|c| matches!(c, ' ' | '\t')).is_some() {}
    }
    Some(words)
}

fn word(rest: &mut Peekable<Chars<'_>>) -> Option<String> {
    let mut word = String::new();
    while let Some(c) = rest.next_if(|c| !matches!(c, ' ' | '\t')) {
        match c {
            '\'' | '"' => quoted(c, rest, &mut word)?,
            c if c.is_ascii_alphanumeric() || "_-./,:=@%+".contains(c) => word.push(c),
            _ => return None,
        }
    }
    Some(word)
}

/// Reads up to the closing `quote`.
fn quoted(quote: char, rest: &mut Peekable<Chars<'_>>, word: &mut String) -> Option<()> {
    loop {
        match rest.next()? {
            c if c == quote => return Some(()),
            '$' | '`' | '\\' | '!' if quote == '"' => return None,
            c => word.push(c),
        }
    }
}

/// A shell would read it before the script, and might then do something else.
fn instructs_shells((name, _): &(OsString, OsString)) -> bool {
    let name: &OsStr = name;
    ["BASH_ENV", "ENV", "SHELLOPTS", "BASHOPTS"].iter().any(|wanted| name == *wanted)
        || name.as_encoded_bytes().starts_with(b"BASH_FUNC_")
}

/// The kernel starts it. A script that does not name an interpreter that exists is left to shells, which start it
/// themselves or say what is wrong.
fn starts_by_itself(program: &Path) -> bool {
    let mut begin = Vec::with_capacity(INTERPRETER_WITHIN);
    let read =
        File::open(program).and_then(|file| file.take(INTERPRETER_WITHIN as u64).read_to_end(&mut begin));
    read.is_ok()
        && (PROGRAMS.iter().any(|start| begin.starts_with(start))
            || interpreter(&begin).is_some_and(is_executable))
}

/// The interpreter that the first line of a script names.
fn interpreter(begin: &[u8]) -> Option<&Path> {
    let line = begin.strip_prefix(b"#!")?.trim_ascii_start();
    let end = line.iter().position(u8::is_ascii_whitespace)?;
    str::from_utf8(&line[..end]).ok().map(Path::new)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use test_case::test_case;

    use super::*;

    #[test_case("sh -c true", Some(&["sh", "-c", "true"]))]
    #[test_case(" ls\t-l  /tmp \n", Some(&["ls", "-l", "/tmp"]))]
    #[test_case("grep 'a $b `c` \\d' f", Some(&["grep", "a $b `c` \\d", "f"]))]
    #[test_case("a \"b c\"d''e ''", Some(&["a", "b cde", ""]))]
    #[test_case("a --x=1 y@z +1% a,b:c", Some(&["a", "--x=1", "y@z", "+1%", "a,b:c"]))]
    #[test_case("", Some(&[]))]
    #[test_case("a\nb", None; "two lines")]
    #[test_case("a; b", None; "a list")]
    #[test_case("a && b", None; "and")]
    #[test_case("a | b", None; "a pipe")]
    #[test_case("a > f", None; "a redirection")]
    #[test_case("a &", None; "in the background")]
    #[test_case("a $HOME", None; "a variable")]
    #[test_case("a \"$HOME\"", None; "a variable in quotes")]
    #[test_case("a `b`", None; "a substitution")]
    #[test_case("a *.txt", None; "a pattern")]
    #[test_case("a ~", None; "a home")]
    #[test_case("a {1,2}", None; "braces")]
    #[test_case("a # b", None; "a comment")]
    #[test_case("a \\b", None; "a backslash")]
    #[test_case("a 'b", None; "an open quote")]
    #[test_case("! a", None; "not")]
    #[test_case("(a)", None; "a subshell")]
    #[test_case("caf\u{e9}", None; "beyond ASCII")]
    fn scripts_are_plain_or_not(script: &str, wanted: Option<&[&str]>) {
        let wanted = wanted.map(|words| words.iter().map(ToString::to_string).collect());
        assert_eq!(words(script), wanted);
    }

    #[test]
    fn programs_are_found_as_shells_find_them() {
        let place = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str, mode: u32| {
            fs::write(place.path().join(name), text).unwrap();
            fs::set_permissions(place.path().join(name), Permissions::from_mode(mode)).unwrap();
        };
        put("named", "#!/bin/sh\n", 0o755);
        put("nameless", "echo\n", 0o755);
        put("text", "#!/bin/sh\n", 0o644);
        put("true", "#!/bin/sh\n", 0o755);
        put("homeless", "#!/nowhere/sh\n", 0o755);
        put("spaced", "#! /bin/sh -e\n", 0o755);
        let variable = |name: &str, value: &OsStr| (OsString::from(name), value.to_owned());
        let path = variable("PATH", place.path().as_os_str());
        let env = [variable("PATH", OsStr::new("/nowhere")), path.clone()];
        let found = |script: &str, env: &[(OsString, OsString)]| plain(script, place.path(), env);
        let named = Called { program: place.path().join("named"), args: vec![OsString::from("1")] };
        assert_eq!(found("named 1", &env), Some(named));
        assert!(found("./named 1", &env).is_some());
        assert!(found("spaced", &env).is_some());
        for script in
            ["nameless", "homeless", "text", "absent", "true", "A=1 named", "./text", "./absent", ""]
        {
            assert_eq!(found(script, &env), None, "{script}");
        }
        assert_eq!(found("named", &[]), None);
        for relative in [".:", ":", "bin:"] {
            let mut path = OsString::from(relative);
            path.push(place.path());
            assert_eq!(found("named", &[variable("PATH", &path)]), None, "{relative}");
        }
        for name in ["BASH_ENV", "ENV", "BASH_FUNC_named%%"] {
            assert_eq!(found("named", &[path.clone(), variable(name, OsStr::new("x"))]), None, "{name}");
        }
    }
}
