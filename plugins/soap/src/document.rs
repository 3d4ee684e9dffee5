//! Document/literal wrapped requests.

use crate::writer::{WriteError, Writer};

/// The content of an element, written in the order of the calls. What is not called is left out, which a .NET service
/// reads as null, 0 or false; an element without content is an empty list or text.
pub struct Content<'w>(&'w mut Writer);

impl Content<'_> {
    /// A text.
    pub fn text(&mut self, name: &str, value: &str) -> &mut Self {
        self.0.element(name, "", |writer| writer.text(value));
        self
    }

    /// A text, or nothing where there is none.
    pub fn text_if(&mut self, name: &str, value: Option<&str>) -> &mut Self {
        if let Some(value) = value {
            self.text(name, value);
        }
        self
    }

    /// A whole number.
    pub fn int(&mut self, name: &str, value: i64) -> &mut Self {
        self.0.element(name, "", |writer| writer.plain(value));
        self
    }

    /// `true` or `false`.
    pub fn bool(&mut self, name: &str, value: bool) -> &mut Self {
        self.0.element(name, "", |writer| writer.plain(value));
        self
    }

    /// A null in so many words.
    pub fn nil(&mut self, name: &str) -> &mut Self {
        self.0.element(name, " xsi:nil=\"true\"", |_| {});
        self
    }

    /// An element with elements of its own; none of them makes it an empty list.
    pub fn element(&mut self, name: &str, content: impl FnOnce(&mut Content<'_>)) -> &mut Self {
        self.0.element(name, "", |writer| content(&mut Content(writer)));
        self
    }
}

/// A document/literal wrapped request: `operation` of `namespace` around the elements that `content` writes, all of them
/// in that namespace.
///
/// # Errors
///
/// [`WriteError`]; nothing may be sent then.
pub fn literal(
    namespace: &'static str,
    operation: &str,
    content: impl FnOnce(&mut Content<'_>),
) -> Result<String, WriteError> {
    const PREFIX: &str = "soap";
    let mut writer = Writer::envelope(PREFIX, &format!(" xmlns:xsi=\"{}\"", crate::XSI));
    writer.element(operation, &format!(" xmlns=\"{namespace}\""), |writer| content(&mut Content(writer)));
    writer.finish(PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, Tree};
    use proptest::prelude::*;

    const NS: &str = "http://example.org/service";

    fn body(request: &str) -> &str {
        request.split_once("<soap:Body>").unwrap().1.strip_suffix("</soap:Body></soap:Envelope>").unwrap()
    }

    #[test]
    fn elements_stand_in_the_order_of_the_calls() {
        let request = literal(NS, "AddUser", |call| {
            call.element("user", |user| {
                user.int("RoleId", 3).text("Role", "User").text_if("Zip", None).bool("IsDemo", false).nil("Comments");
            })
            .text("password", "a&b<c>\"d\"\r")
            .element("notes", |_| {})
            .element("ids", |ids| {
                for id in [1, 2] {
                    ids.int("int", id);
                }
            });
        })
        .unwrap();

        assert_eq!(
            body(&request),
            "<AddUser xmlns=\"http://example.org/service\"><user><RoleId>3</RoleId><Role>User</Role>\
             <IsDemo>false</IsDemo><Comments xsi:nil=\"true\"/></user>\
             <password>a&amp;b&lt;c&gt;&quot;d&quot;&#13;</password><notes/>\
             <ids><int>1</int><int>2</int></ids></AddUser>"
        );
    }

    #[test]
    fn what_xml_cannot_carry_is_refused_and_not_shown() {
        for (value, code) in [("se\u{0}cret", 0), ("se\u{1b}cret", 0x1b), ("se\u{ffff}cret", 0xffff)] {
            let error = literal(NS, "Set", |call| {
                call.element("user", |user| {
                    user.text("Password", value);
                });
            })
            .unwrap_err();

            assert_eq!(error, WriteError::Character { place: "Set/user/Password".into(), code });
            assert!(!error.to_string().contains("cret"), "{error}");
        }
        assert!(matches!(literal(NS, "Set", |call| _ = call.int("a b", 1)), Err(WriteError::Name { .. })));
        assert!(matches!(literal(NS, "", |_| {}), Err(WriteError::Name { .. })));
    }

    fn read_back(tree: &Tree<'_>) -> String {
        tree.root().child("Body").unwrap().child("Set").unwrap().child("value").unwrap().text().unwrap().to_owned()
    }

    proptest! {
        #[test]
        fn every_text_comes_back_as_it_was_or_is_refused(value: String) {
            if let Ok(request) = literal(NS, "Set", |call| _ = call.text("value", &value)) {
                let tree = Limits::default().read(None, request.as_bytes()).unwrap();
                prop_assert_eq!(read_back(&tree), value);
            }
        }
    }
}
