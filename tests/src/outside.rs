//! Requests held against the types of their contract by a program that shares nothing with this project: a slip that plugin
//! and fake panel make alike is none to it.
//!
//! `tests/outside/judge.py` is started once for a whole test program, and asked over a pipe. Where the contracts are not
//! at hand nothing is judged, and that is said.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

use serde_json::{Value, json};

static JUDGE: LazyLock<Option<Mutex<Judge>>> =
    LazyLock::new(|| contracts().map(|folder| Mutex::new(Judge::new(&folder))));

struct Judge {
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    /// Bodies that were found good: the suites send most of theirs a thousand times.
    good: HashSet<(String, String)>,
    /// Ends with its input, which is closed when this program ends.
    _child: Child,
}

/// The folder of the contracts, beside the checkout. `None` after saying what is skipped for it.
pub fn contracts() -> Option<PathBuf> {
    static FOLDER: LazyLock<Option<PathBuf>> = LazyLock::new(|| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/contracts");
        if folder.is_dir() {
            return Some(folder);
        }
        eprintln!(
            "skipped: there is no {}, so no request was held against the types of its contract, and no fake panel \
             against the contract's samples",
            folder.display()
        );
        None
    });
    FOLDER.clone()
}

/// What is wrong with these bodies of requests by `rules`, a file below the folder of the contracts: an XML Schema, or a
/// WSDL of style rpc/encoded. Nothing where the contracts are not at hand.
///
/// # Panics
///
/// When the judge cannot be had although there is something to judge by.
pub fn complaints<'a>(rules: &str, bodies: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let Some(judge) = &*JUDGE else { return Vec::new() };
    let mut judge = judge.lock().unwrap_or_else(PoisonError::into_inner);
    bodies.into_iter().flat_map(|body| judge.complaints(rules, body)).collect()
}

impl Judge {
    fn new(contracts: &Path) -> Self {
        // Debian's own has the library; another one that comes first in the path may not.
        let debian = Path::new("/usr/bin/python3");
        let python = if debian.exists() { debian } else { Path::new("python3") };
        let mut child = Command::new(python)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/outside/judge.py"))
            .arg(contracts)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run {}: {error}; {REMEDY}", python.display()));
        let input = child.stdin.take().expect("its input is piped");
        let output = BufReader::new(child.stdout.take().expect("its output is piped"));
        let mut judge = Self { input, output, good: HashSet::new(), _child: child };
        let first = judge.line();
        assert_eq!(first, json!({ "ready": true }), "{REMEDY}");
        judge
    }

    fn complaints(&mut self, rules: &str, body: &str) -> Vec<String> {
        let key = (rules.to_owned(), body.to_owned());
        if self.good.contains(&key) {
            return Vec::new();
        }
        writeln!(self.input, "{}", json!({ "rules": rules, "body": body })).expect("the judge reads");
        self.input.flush().expect("the judge reads");
        let found: Vec<String> = serde_json::from_value(self.line()).expect("a list of complaints");
        if found.is_empty() {
            self.good.insert(key);
        }
        found.into_iter().map(|text| format!("{rules}: {text}\n{body}")).collect()
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("the judge's output is read");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("the judge said {line:?}: {error}"))
    }
}

const REMEDY: &str = "the judge of requests needs python3 with lxml; on Debian: apt-get install python3-lxml";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_judge_takes_the_contracts_samples_and_nothing_beside_them() {
        let Some(contracts) = contracts() else { return };
        let read = |path: &str| std::fs::read_to_string(contracts.join(path)).unwrap();
        let encoded = read("apiscp/samples/add_site.request.xml");
        let literal = read("solidcp/examples/04-AddUser.request.xml");
        let (wsdl, xsd) = ("apiscp/apnscp-subset.wsdl", "solidcp/xsd/esUsers.xsd");

        assert_eq!(complaints(wsdl, [&*encoded]), Vec::<String>::new());
        assert_eq!(complaints(xsd, [&*literal]), Vec::<String>::new());
        for (from, to) in [
            ("xsi:type=\"xsd:int\">1<", "xsi:type=\"xsd:int\">x<"),
            ("ur-type[0]", "ur-type[1]"),
            (" xsi:type=\"ns2:Map\"", ""),
            ("<key xsi:type=\"xsd:string\">", "<key>"),
            ("urn:net.apnscp.api", "urn:of-another"),
            (" SOAP-ENV:encodingStyle=", " SOAP-ENV:style="),
            ("<flags SOAP-ENC:arrayType=\"xsd:ur-type[0]\" xsi:type=\"SOAP-ENC:Array\"/>", ""),
            (
                "<flags SOAP-ENC:arrayType=\"xsd:ur-type[0]\" xsi:type=\"SOAP-ENC:Array\"/>",
                "<flags xsi:type=\"ns2:Map\"/>",
            ),
            ("</SOAP-ENV:Body>", "<more/></SOAP-ENV:Body>"),
            ("<?xml version='1.0' encoding='UTF-8'?>", "<!DOCTYPE x>"),
        ] {
            assert!(encoded.contains(from), "{from}");
            assert_ne!(complaints(wsdl, [&*encoded.replacen(from, to, 1)]), Vec::<String>::new(), "{to}");
        }
        assert_ne!(complaints(xsd, [&*literal.replace("RoleId>", "RoleID>")]), Vec::<String>::new());
    }
}
