//! The services as the contract lists them: operations, parameters, types, and the versions that have them.
//!
//! The three lists are the contract's own tables, one line each: `Name(parameter type, …) result`. `?` may be missing,
//! `[]` is an array whose items are named after the type, `@1.5.0` came with that version, `@<1.5.2` was gone with it.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Of every operation, parameter and member.
pub(super) const NAMESPACE: &str = "http://smbsaas/solidcp/enterpriseserver";

/// A version of the Enterprise Server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    /// Without the DMZ network.
    V1_4_9,
    /// With it.
    V1_5_0,
    /// The same services.
    V1_5_1,
    /// The operations that tell a host's memory have other names.
    V1_5_2,
    /// Another protocol at other addresses.
    V2_0,
}

/// What everything here is compiled from, once.
pub(super) static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    Schema::compile(
        include_str!("schema/operations.txt"),
        include_str!("schema/types.txt"),
        include_str!("schema/enums.txt"),
    )
});

#[derive(Debug)]
pub(super) struct Schema {
    operations: BTreeMap<&'static str, Operation>,
    types: BTreeMap<&'static str, Vec<Field>>,
    enums: BTreeMap<&'static str, Vec<(&'static str, Option<i32>)>>,
}

#[derive(Debug)]
pub(super) struct Operation {
    pub(super) service: &'static str,
    pub(super) name: &'static str,
    pub(super) parameters: Vec<Field>,
    /// `XResult` of `XResponse`.
    pub(super) result: Field,
    /// Whether such a call changes nothing by its nature.
    pub(super) is_read: bool,
}

/// A parameter, member or result.
#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) is_optional: bool,
    pub(super) span: Span,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `string`, `guid` and the like.
    Text,
    /// A number of this XSD type.
    Whole(&'static str),
    /// `decimal` or `double`.
    Fraction,
    Flag,
    Instant,
    Enum(&'static str),
    Object(&'static str),
    /// The name of the items, and their kind.
    List(&'static str, Box<Kind>),
    /// A DataSet.
    Set,
    /// Of no fixed type.
    Any,
}

/// The versions that have something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    from: Option<Version>,
    below: Option<Version>,
}

impl Span {
    pub(super) fn has(self, version: Version) -> bool {
        self.from.is_none_or(|from| version >= from) && self.below.is_none_or(|below| version < below)
    }
}

impl Schema {
    fn compile(operations: &'static str, types: &'static str, enums: &'static str) -> Self {
        let mut schema = Self { operations: BTreeMap::new(), types: BTreeMap::new(), enums: BTreeMap::new() };
        for line in lines(enums) {
            let (name, values) = line.split_once(": ").expect("an enum has values");
            let value = |word: &'static str| match word.split_once('=') {
                Some((name, number)) => (name, Some(number.parse().expect("a number"))),
                None => (word, None),
            };
            schema.enums.insert(name, values.split(' ').map(value).collect());
        }
        // A type is known by its name before its members are read.
        let names: Vec<&str> = lines(types).filter_map(|line| line.split([' ', ':']).next()).collect();
        schema.types.extend(names.iter().map(|name| (*name, Vec::new())));
        for line in lines(types) {
            let (head, members) = line.split_once(':').expect("a type has members");
            let (name, base) = head.split_once(" < ").map_or((head, None), |(name, base)| (name, Some(base)));
            let mut fields = base.map(|base| schema.types[base].clone()).unwrap_or_default();
            fields.extend(schema.fields(members));
            schema.types.insert(name, fields);
        }
        let mut service = "";
        for line in lines(operations) {
            if let Some(name) = line.strip_prefix("= ") {
                service = name;
                continue;
            }
            let (name, rest) = line.split_once('(').expect("an operation has parameters");
            let (parameters, result) = rest.split_once(") ").expect("an operation has a result");
            let parameters = schema.fields(parameters);
            let result = schema.field(&format!("{name}Result"), result);
            let is_read =
                name.starts_with("Get") || matches!(name, "UserExists" | "AuthenticateUser" | "GenerateMacAddress");
            schema.operations.insert(name, Operation { service, name, parameters, result, is_read });
        }
        schema
    }

    fn fields(&self, list: &'static str) -> Vec<Field> {
        let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
        items
            .map(|item| {
                let (name, kind) = item.split_once(' ').expect("a name and a type");
                self.field(name, kind)
            })
            .collect()
    }

    fn field(&self, name: &str, text: &'static str) -> Field {
        let (text, mark) = text.split_once('@').map_or((text, None), |(text, mark)| (text, Some(mark)));
        let span = match mark {
            None => Span::default(),
            Some(mark) => match mark.strip_prefix('<') {
                Some(below) => Span { from: None, below: Some(version(below)) },
                None => Span { from: Some(version(mark)), below: None },
            },
        };
        let is_optional = text.ends_with('?');
        Field { name: name.to_owned(), kind: self.kind(text.trim_end_matches('?')), is_optional, span }
    }

    fn kind(&self, text: &'static str) -> Kind {
        if let Some(item) = text.strip_suffix("[]") {
            return Kind::List(item, Box::new(self.kind(item)));
        }
        match text {
            "string" | "guid" => Kind::Text,
            "int" | "long" | "unsignedLong" | "unsignedInt" | "unsignedShort" => Kind::Whole(text),
            "decimal" => Kind::Fraction,
            "boolean" => Kind::Flag,
            "dateTime" => Kind::Instant,
            "DataSet" => Kind::Set,
            "anyType" => Kind::Any,
            _ if self.enums.contains_key(text) => Kind::Enum(text),
            _ if self.types.contains_key(text) => Kind::Object(text),
            _ => panic!("the lists name no type {text}"),
        }
    }

    /// The operation of this name, if this version has it.
    pub(super) fn operation(&'static self, name: &str, version: Version) -> Option<&'static Operation> {
        self.operations.get(name).filter(|operation| operation.result.span.has(version))
    }

    /// Of one service, or of all.
    pub(super) fn operations(&'static self, service: Option<&str>) -> impl Iterator<Item = &'static Operation> {
        self.operations.values().filter(move |operation| service.is_none_or(|service| operation.service == service))
    }

    /// The parameters and members that only other versions have; this one drops them, and one shape of a request serves
    /// all for that reason.
    pub(super) fn unknown_to(&self, version: Version) -> impl Iterator<Item = &str> {
        let parameters = self.operations.values().flat_map(|operation| &operation.parameters);
        let all = parameters.chain(self.types.values().flatten());
        all.filter(move |field| !field.span.has(version)).map(|field| field.name.as_str())
    }

    pub(super) fn members(&'static self, type_name: &str) -> &'static [Field] {
        &self.types[type_name]
    }

    pub(super) fn values(&self, enum_name: &str) -> impl Iterator<Item = &'static str> {
        self.enums[enum_name].iter().map(|(name, _)| *name)
    }

    /// The number of a name.
    pub(super) fn number(&self, enum_name: &str, value: &str) -> Option<i32> {
        self.enums[enum_name].iter().find(|(name, _)| *name == value)?.1
    }

    /// The name of a number.
    pub(super) fn name(&self, enum_name: &str, number: i32) -> &'static str {
        let found = self.enums[enum_name].iter().find(|(_, found)| *found == Some(number));
        found.map_or("Unknown", |(name, _)| name)
    }
}

fn lines(text: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines().filter(|line| !line.is_empty())
}

fn version(text: &str) -> Version {
    match text {
        "1.5.0" => Version::V1_5_0,
        "1.5.2" => Version::V1_5_2,
        _ => panic!("the lists name no version {text}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lists_are_read_whole() {
        assert_eq!(SCHEMA.operations(None).count(), 76);
        let machine = SCHEMA.members("VirtualMachine");
        assert_eq!(machine[0].name, "Id");
        assert_eq!(machine.last().map(|field| field.name.as_str()), Some("IsClustered"));
        assert_eq!(SCHEMA.number("VirtualMachineRequestedState", "Save"), Some(32769));
        assert_eq!(SCHEMA.name("PackageStatus", 2), "Suspended");
    }

    #[test]
    fn a_version_has_the_operations_and_members_of_its_time() {
        for (name, from_1_4_9, in_1_5_2) in [
            ("GetMemoryPackageId", true, false),
            ("GetSystemMemoryInfoPackageId", false, true),
            ("GetPackage", true, true),
        ] {
            assert_eq!(SCHEMA.operation(name, Version::V1_4_9).is_some(), from_1_4_9, "{name}");
            assert_eq!(SCHEMA.operation(name, Version::V1_5_2).is_some(), in_1_5_2, "{name}");
        }
        let members = |version| SCHEMA.members("VirtualMachine").iter().filter(|field| field.span.has(version)).count();
        assert_eq!(members(Version::V1_5_0) - members(Version::V1_4_9), 8);
    }
}
