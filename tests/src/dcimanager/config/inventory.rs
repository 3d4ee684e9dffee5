//! What stands in the racks.

use super::{Family, Pool, Template};

/// A machine to put on the panel.
#[derive(Clone, Debug)]
pub struct ServerSeed {
    /// Unique.
    pub id: u64,
    /// What people call it.
    pub label: String,
    /// Rack and position.
    pub rack: String,
    /// `""` when nobody has entered it.
    pub mac: String,
    /// The notes that people have left.
    pub notes: String,
    /// Key of the server type.
    pub type_id: u64,
    /// The configuration as the panel has made it out of the parts.
    pub chassis: String,
    /// Domain name of the main address.
    pub hostname: String,
    /// The main address.
    pub ip: String,
    /// Name of the owner's account.
    pub owner: Option<String>,
    /// Whether it is switched on.
    pub powered_on: bool,
    /// Marks.
    pub flags: Vec<Flag>,
}

/// A mark of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// Not for sale.
    Blocked,
    /// Switched off for its owner.
    Disabled,
    /// Broken.
    HardwareProblem,
    /// Being looked at, until the mark is taken away.
    Diagnostics,
    /// The last operation failed.
    OperationFailed,
    /// Its power cannot be read.
    PowerError,
}

impl ServerSeed {
    /// A machine that can be sold as `E3-1230v6-16-2x1000SATA`, switched off.
    pub fn free(id: u64) -> Self {
        Self {
            id,
            label: format!("R2U{}", id - 28),
            rack: format!("R2 {}", id - 28),
            mac: format!("52:54:00:aa:{:02x}:{:02x}", id / 256, id % 256),
            notes: String::new(),
            type_id: 7,
            chassis: "E3-1230v6-16-2x1000SATA".into(),
            hostname: "free.ds".into(),
            ip: if id < 256 { format!("192.0.2.{id}") } else { format!("198.18.{}.{}", id / 256, id % 256) },
            owner: None,
            powered_on: false,
            flags: Vec::new(),
        }
    }

    fn marked(id: u64, flag: Flag) -> Self {
        Self { flags: vec![flag], ..Self::free(id) }
    }
}

/// Two machines for sale of one kind, one of another, and one for each reason not to sell.
pub(super) fn servers() -> Vec<ServerSeed> {
    let large =
        ServerSeed { type_id: 8, chassis: "E5-2620v4-64-2x480SSD".into(), rack: "R3 1".into(), ..ServerSeed::free(60) };
    vec![
        ServerSeed {
            owner: Some("acme".into()),
            hostname: "web.acme.example".into(),
            powered_on: true,
            ..ServerSeed::free(41)
        },
        ServerSeed { notes: "disk 2 swapped <2025-11> & tested".into(), ..ServerSeed::free(42) },
        ServerSeed { hostname: "lab.example".into(), ..ServerSeed::free(43) },
        ServerSeed::free(44),
        ServerSeed::marked(45, Flag::Blocked),
        ServerSeed::marked(46, Flag::HardwareProblem),
        ServerSeed::marked(47, Flag::Diagnostics),
        ServerSeed::marked(48, Flag::OperationFailed),
        ServerSeed::marked(49, Flag::Disabled),
        ServerSeed { mac: String::new(), ..ServerSeed::free(50) },
        large,
    ]
}

pub(super) fn templates() -> Vec<Template> {
    let template = |id: &str| Template { id: id.into(), installed: true, restricted: false, types: Vec::new() };
    vec![
        template("ISPsystem__Debian-11-x86_64"),
        template("ISPsystem__CentOS-7-amd64"),
        Template { types: vec![8], ..template("ISPsystem__VMware-7-amd64") },
        Template { installed: false, ..template("ISPsystem__Ubuntu-24.04-amd64") },
        Template { restricted: true, ..template("local__Rescue") },
    ]
}

pub(super) fn pools() -> Vec<Pool> {
    let pool = |group: &str, family, free: Vec<String>| Pool { group: group.into(), family, free };
    vec![
        pool("public", Family::Ipv4, (100..116).map(|host| format!("198.51.100.{host}")).collect()),
        pool("public", Family::Ipv6, (1..9).map(|host| format!("2001:db8:77::{host:x}")).collect()),
        pool("private", Family::Ipv4, (10..14).map(|host| format!("10.20.0.{host}")).collect()),
    ]
}
