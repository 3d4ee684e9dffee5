//! How the panel says no.

use super::xml::Element;

/// A refusal: what kind, of what, and which value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) kind: &'static str,
    pub(super) object: String,
    pub(super) value: String,
}

impl Refusal {
    fn new(kind: &'static str, object: &str, value: impl ToString) -> Self {
        Self { kind, object: object.to_owned(), value: value.to_string() }
    }

    /// A wrong login or password, or a session that is gone.
    pub(super) fn bad_password() -> Self {
        Self::new("auth", "badpassword", "")
    }

    /// A session from another address.
    pub(super) fn bad_address() -> Self {
        Self::new("auth", "badip", "")
    }

    /// A second factor is wanted.
    pub(super) fn second_factor() -> Self {
        Self::new("extraconfirm", "", "")
    }

    /// Not for this account.
    pub(super) fn access(function: &str) -> Self {
        Self::new("access", "", function)
    }

    /// There is none.
    pub(super) fn missed(object: &str, value: impl ToString) -> Self {
        Self::new("missed", object, value)
    }

    /// There is one already.
    pub(super) fn exists(object: &str, value: impl ToString) -> Self {
        Self::new("exists", object, value)
    }

    /// A parameter that cannot be.
    pub(super) fn value(field: &str, value: impl ToString) -> Self {
        Self::new("value", field, value)
    }

    /// No more of these.
    pub(super) fn limit(what: &str) -> Self {
        Self::new("limit", what, "")
    }

    /// The panel itself is in trouble, or has a rule that the contract does not know.
    pub(super) fn other(kind: &'static str, object: &str) -> Self {
        Self::new(kind, object, "")
    }

    /// The element that stands in the document.
    pub(super) fn element(&self, lang: &str, user: &str, function: &str) -> Element {
        let about = self.message(lang == "en");
        let object = if self.object.is_empty() { "action" } else { &self.object };
        let mut error = Element::new("error").with("type", self.kind);
        if !self.object.is_empty() {
            error = error.with("object", &self.object);
        }
        error = error.with("lang", lang).with("report", "no");
        error.children = vec![
            Element::text("param", object).with("name", "object").with("type", "msg").with("msg", &about),
            Element::text("param", &self.value).with("name", "value"),
            Element::holding("stack", vec![Element::text("action", function).with("level", 29).with("user", user)]),
            Element::text("group", format!("__{}__", self.kind)),
            Element::text("msg", about),
        ];
        error
    }

    /// The same in the words of an older panel, where errors have numbers.
    pub(super) fn old(code: u8, object: &str) -> Element {
        Element::new("error").with("code", code).with("obj", object)
    }

    fn message(&self, is_english: bool) -> String {
        let Self { kind, object, value } = self;
        if !is_english {
            return match *kind {
                "auth" => "Неверное имя пользователя или пароль".to_owned(),
                "access" => format!("Недостаточно привилегий для выполнения функции {value}"),
                "missed" => format!("Объект '{object}' с идентификатором '{value}' не найден"),
                "exists" => format!("Объект '{object}' уже существует"),
                _ => "Ошибка выполнения запроса".to_owned(),
            };
        }
        match *kind {
            "auth" => "Invalid user name or password".to_owned(),
            "extraconfirm" => "Confirm that it is you".to_owned(),
            "access" => format!("Insufficient privileges to call {value}"),
            "missed" => format!("There is no {object} '{value}'"),
            "exists" => format!("There is a {object} '{value}' already"),
            "value" => format!("The field {object} cannot be '{value}'"),
            "limit" => format!("The limit of {object} is reached"),
            _ => format!("{kind} failure"),
        }
    }
}
