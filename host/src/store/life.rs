//! Which life of which machine a host is, and what proves that it is over.

use serde::{Deserialize, Serialize};
use std::fs;
use std::path::Path;

/// One run of a program on one machine, told apart from every other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// The machine's own id; empty where it has none.
    pub machine: String,
    /// Its name.
    pub name: String,
    /// New with each start of the machine.
    pub boot: String,
    /// What numbers of processes and times since the start are counted in: containers have their own.
    pub spaces: String,
    /// The process.
    pub pid: u32,
    /// When it was started, in the machine's ticks since its own start.
    pub start: u64,
}

/// What stands at a process number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    start: u64,
    /// It has ended, and nobody has asked how.
    is_remains: bool,
}

impl Life {
    /// That of this process.
    pub fn own() -> Self {
        let text = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let link = |path: &str| fs::read_link(path).map(|link| link.display().to_string()).unwrap_or_default();
        let pid = std::process::id();
        Self {
            machine: text("/etc/machine-id"),
            name: text("/proc/sys/kernel/hostname"),
            boot: text("/proc/sys/kernel/random/boot_id"),
            spaces: format!("{} {}", link("/proc/self/ns/pid"), link("/proc/self/ns/time")),
            pid,
            start: seen(pid).map_or(0, |seen| seen.start),
        }
    }

    /// Whether this one, which lives, can tell that `other` has ended. `is_over`: its lease is.
    pub fn proves_the_end_of(&self, other: &Self, is_over: bool) -> bool {
        self.judges(other, is_over, seen)
    }

    fn judges(&self, other: &Self, is_over: bool, seen: impl Fn(u32) -> Option<Seen>) -> bool {
        if self.boot.is_empty() || other.boot.is_empty() || self.name != other.name {
            return false;
        }
        if self.boot == other.boot {
            // A number that another container counts says nothing here.
            let is_here = self.spaces == other.spaces && other.start > 0;
            return is_here && seen(other.pid).is_none_or(|seen| seen.is_remains || seen.start != other.start);
        }
        // The machine was started anew. Machines that were copied may have one id and one name: a lease tells those apart.
        is_over && !self.machine.is_empty() && self.machine == other.machine
    }
}

fn seen(pid: u32) -> Option<Seen> {
    let folder = format!("/proc/{pid}");
    let text = fs::read_to_string(Path::new(&folder).join("stat")).ok()?;
    // The name before may hold anything, brackets too.
    let (_, fields) = text.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let start = fields.get(19)?.parse().ok()?;
    let threads = fs::read_dir(Path::new(&folder).join("task")).map_or(0, Iterator::count);
    let is_remains = matches!(fields.first(), Some(&("Z" | "X" | "x"))) && threads <= 1;
    Some(Seen { start, is_remains })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(boot: &str, pid: u32, start: u64) -> Life {
        Life { machine: "m".into(), name: "web1".into(), boot: boot.into(), spaces: "pid:[1]".into(), pid, start }
    }

    #[test]
    fn an_end_is_proven_by_the_machine_that_it_was_on() {
        let own = life("b", 10, 500);
        let there = |start, is_remains| Some(Seen { start, is_remains });
        let elsewhere = |life: Life| Life { spaces: "pid:[2]".into(), ..life };
        let rows = [
            ("it runs", life("b", 9, 400), true, there(400, false), false),
            ("it is gone", life("b", 9, 400), false, None, true),
            ("another has its number", life("b", 9, 400), false, there(450, false), true),
            ("nobody has asked how it ended", life("b", 9, 400), false, there(400, true), true),
            ("in another container", elsewhere(life("b", 9, 400)), true, None, false),
            ("started again, its lease is over", life("a", 9, 400), true, None, true),
            ("a copy of the machine may live", life("a", 9, 400), false, None, false),
            ("another machine", Life { machine: "n".into(), ..life("a", 9, 400) }, true, None, false),
            ("another name", Life { name: "web2".into(), ..life("b", 9, 400) }, true, None, false),
            ("a machine without an id", Life { machine: String::new(), ..life("a", 9, 400) }, true, None, false),
            ("no start was seen", life("b", 9, 0), true, None, false),
        ];
        for (what, other, is_over, seen, expected) in rows {
            assert_eq!(own.judges(&other, is_over, |_| seen), expected, "{what}");
        }
    }

    #[test]
    fn the_own_life_is_told_from_an_earlier_one_of_the_same_number() {
        let own = Life::own();
        assert!(own.start > 0 && !own.boot.is_empty());
        assert!(!own.proves_the_end_of(&own, true));
        assert!(own.proves_the_end_of(&Life { start: own.start - 1, ..own.clone() }, false));
    }

    #[test]
    fn a_process_that_nobody_has_waited_for_is_over() {
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let pid = child.id();
        let other = Life { pid, start: seen(pid).unwrap().start, ..Life::own() };
        assert!(!Life::own().proves_the_end_of(&other, true));
        child.kill().unwrap();
        while seen(pid).is_some_and(|seen| !seen.is_remains) {
            std::thread::yield_now();
        }
        assert!(Life::own().proves_the_end_of(&other, false));
        child.wait().unwrap();
        assert!(Life::own().proves_the_end_of(&other, false));
    }
}
