//! One tree of data, written as JSON or as PHP's `serialize()` writes it, both byte for byte as PHP would.

use super::config::Manners;
use super::config::Scalars;
use super::money::Money;

/// What an answer holds, before anybody has chosen how to write it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    /// `""`, or null where numbers are numbers.
    Missing,
    Text(String),
    Int(i64),
    Money(Money),
    /// With the key that each has in the panel's database; written without them unless its manners say so.
    List(Vec<(i64, Node)>),
    Map(Vec<(&'static str, Node)>),
}

impl Node {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn id(id: u64) -> Self {
        Self::Int(i64::try_from(id).unwrap_or(i64::MAX))
    }

    pub(super) fn flag(flag: bool) -> Self {
        Self::Int(flag.into())
    }

    pub(super) fn list(items: impl IntoIterator<Item = (u64, Node)>) -> Self {
        Self::List(items.into_iter().map(|(key, node)| (i64::try_from(key).unwrap_or(i64::MAX), node)).collect())
    }

    /// As JSON, or with `php` serialized.
    pub(super) fn write(&self, manners: &Manners, php: bool) -> String {
        let mut writer = Writer { manners, php, scalars: 0, text: String::new() };
        writer.node(self);
        writer.text
    }
}

struct Writer<'a> {
    manners: &'a Manners,
    php: bool,
    /// How many numbers have been written: with mixed manners every other one is a string.
    scalars: usize,
    text: String,
}

impl Writer<'_> {
    fn node(&mut self, node: &Node) {
        match node {
            Node::Missing if self.manners.scalars == Scalars::Strings => self.string(""),
            Node::Missing => self.text.push_str(if self.php { "N;" } else { "null" }),
            Node::Text(text) => self.string(text),
            Node::Int(number) => self.number(&number.to_string(), "i", number.to_string()),
            Node::Money(amount) => self.number(&amount.to_string(), "d", amount.as_float()),
            Node::List(items) => {
                let keyed = self.manners.keyed_lists && !items.is_empty();
                let keys = items.iter().enumerate().map(|(index, (key, _))| if keyed { *key } else { index as i64 });
                let members: Vec<(Key, &Node)> = keys.map(Key::Int).zip(items.iter().map(|(_, node)| node)).collect();
                self.array(&members);
            }
            Node::Map(members) => {
                let members: Vec<(Key, &Node)> = members.iter().map(|(key, node)| (Key::Text(key), node)).collect();
                self.array(&members);
            }
        }
    }

    fn number(&mut self, as_string: &str, kind: &str, as_number: String) {
        self.scalars += 1;
        let is_string = match self.manners.scalars {
            Scalars::Strings => true,
            Scalars::Numbers => false,
            Scalars::Mixed => self.scalars % 2 == 1,
        };
        match (is_string, self.php) {
            (true, _) => self.string(as_string),
            (false, true) => self.text.push_str(&format!("{kind}:{as_number};")),
            (false, false) => self.text.push_str(&as_number),
        }
    }

    fn string(&mut self, text: &str) {
        if self.php {
            self.text.push_str(&format!("s:{}:\"{text}\";", text.len()));
        } else {
            self.quoted(text);
        }
    }

    /// As `json_encode` does without flags: slashes and everything beyond ASCII escaped.
    fn quoted(&mut self, text: &str) {
        self.text.push('"');
        for char in text.chars() {
            match char {
                '"' | '\\' | '/' => self.text.extend(['\\', char]),
                '\n' => self.text.push_str("\\n"),
                ' '..='~' => self.text.push(char),
                _ => {
                    for unit in char.encode_utf16(&mut [0; 2]) {
                        self.text.push_str(&format!("\\u{unit:04x}"));
                    }
                }
            }
        }
        self.text.push('"');
    }

    fn array(&mut self, members: &[(Key<'_>, &Node)]) {
        // PHP has one kind of array; JSON makes a list of it when its keys are exactly 0, 1, 2, ...
        let is_list = members.iter().enumerate().all(|(index, (key, _))| *key == Key::Int(index as i64));
        let (open, close) = match (self.php, is_list) {
            (true, _) => (format!("a:{}:{{", members.len()), "}"),
            (false, true) => ("[".into(), "]"),
            (false, false) => ("{".into(), "}"),
        };
        self.text.push_str(&open);
        for (index, (key, node)) in members.iter().enumerate() {
            if !self.php && index > 0 {
                self.text.push(',');
            }
            match (self.php, key) {
                (true, Key::Int(key)) => self.text.push_str(&format!("i:{key};")),
                (true, Key::Text(key)) => self.string(key),
                (false, _) if is_list => {}
                (false, Key::Int(key)) => self.text.push_str(&format!("\"{key}\":")),
                (false, Key::Text(key)) => {
                    self.quoted(key);
                    self.text.push(':');
                }
            }
            self.node(node);
        }
        self.text.push_str(close);
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Key<'a> {
    Int(i64),
    Text(&'a str),
}

#[cfg(test)]
mod tests {
    use super::super::codes::Code;
    use super::*;
    use std::path::Path;

    fn manners(scalars: Scalars, keyed_lists: bool) -> Manners {
        Manners { scalars, keyed_lists, ..Manners::default() }
    }

    fn text(text: &str) -> Node {
        Node::text(text)
    }

    /// The trees of the contract's samples, by their names.
    fn samples() -> Vec<(&'static str, Manners, Node)> {
        let strings = || manners(Scalars::Strings, false);
        let numbers = || manners(Scalars::Numbers, true);
        let auth = Node::Map(vec![
            ("status", text("ERROR")),
            ("errorCode", Node::Int(7)),
            ("errorMsg", text(Code::WRONG_KEY.message())),
        ]);
        let awaits_payment = Node::Map(vec![
            ("status", text("SUCCESS")),
            ("errorCode", Node::Int(31)),
            ("errorMsg", text(Code::AWAITS_PAYMENT.message())),
            ("orderid", Node::Int(50_124)),
            ("vid", text("vds")),
            ("tarifid", Node::Int(12)),
            ("period", Node::Int(1)),
            ("balance", Node::Money(Money::ZERO)),
            ("cost", Node::Money(Money::cents(949))),
            ("currency", text("EUR")),
        ]);
        let row = Node::Map(vec![
            ("orderid", Node::Int(50_123)),
            ("vid", text("vds")),
            ("tarifid", Node::Int(12)),
            ("leftdays", Node::Int(29)),
            ("status", Node::Int(1)),
            ("serverlogin", text("root")),
            ("serverpassword", text("Zq9-example")),
            ("serveripv4", text("192.0.2.10")),
            ("serveripv6", Node::Missing),
            ("extraips", Node::List(vec![(3, text("192.0.2.20"))])),
        ]);
        let rows = vec![("status", text("SUCCESS")), ("orders", Node::List(vec![(50_123, row)]))];
        let vnc = vec![
            ("status", text("SUCCESS")),
            ("orderid", Node::Int(50_123)),
            ("wss_url", text("wss://vnc.example/abc?token=t0ken-example")),
            ("password", text("vncpw-ex")),
        ];
        let balance =
            vec![("status", text("SUCCESS")), ("balance", Node::Money(Money::cents(4_051))), ("currency", text("EUR"))];
        vec![
            ("error_auth", strings(), auth.clone()),
            ("error_auth_int", numbers(), auth),
            ("create_await_payment", strings(), awaits_payment),
            ("orders_keyed_by_id", numbers(), Node::Map(rows)),
            ("vnc", strings(), Node::Map(vnc)),
            ("balance", numbers(), Node::Map(balance)),
        ]
    }

    #[test]
    fn both_forms_are_the_samples_byte_for_byte() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/contracts/rootpanel/samples");
        if !folder.is_dir() {
            eprintln!("skipped: no samples at {}", folder.display());
            return;
        }
        for (name, manners, tree) in samples() {
            for (ending, php) in [("json", false), ("ser", true)] {
                let expected = std::fs::read_to_string(folder.join(format!("{name}.{ending}"))).unwrap();
                assert_eq!(tree.write(&manners, php), expected, "{name}.{ending}");
            }
        }
    }

    #[test]
    fn mixed_scalars_are_strings_and_numbers_by_turns() {
        let tree = Node::Map(vec![
            ("a", Node::Int(1)),
            ("b", Node::Int(2)),
            ("c", Node::Money(Money::cents(950))),
            ("d", Node::Money(Money::cents(950))),
            ("e", Node::List(Vec::new())),
            ("f", Node::Missing),
        ]);

        let written = tree.write(&manners(Scalars::Mixed, true), false);

        assert_eq!(written, r#"{"a":"1","b":2,"c":"9.50","d":9.5,"e":[],"f":null}"#);
    }
}
