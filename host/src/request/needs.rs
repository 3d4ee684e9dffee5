//! Which members of a body each hook needs, and which it may have. The API's description is made of the same table.

use super::HookBody;
use crate::problem::Problem;
use billhook_plugin_api::Hook;

/// A member of a hook's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Member {
    /// `service`.
    Service,
    /// `server`.
    Server,
    /// `client`.
    Client,
    /// `product`.
    Product,
    /// `password`.
    Password,
    /// `paid_until`.
    PaidUntil,
    /// `reason`.
    Reason,
    /// `action`.
    Action,
    /// `params`.
    Params,
    /// `addons`.
    Addons,
    /// `power`.
    Power,
    /// `target`.
    Target,
    /// `confirm`.
    Confirm,
    /// `field`.
    Field,
}

/// What a hook takes. Whatever is in neither list is refused: it was meant for something, and would do nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Takes {
    /// What must be there.
    pub needs: &'static [Member],
    /// What may be there.
    pub may: &'static [Member],
}

/// What this hook takes.
pub const fn takes(hook: Hook) -> Takes {
    use Member as M;
    let (needs, may): (&[M], &[M]) = match hook {
        Hook::Create => (&[M::Service, M::Product], &[M::Client, M::Password]),
        Hook::Suspend => (&[M::Service], &[M::Reason]),
        Hook::Unsuspend | Hook::Terminate | Hook::Console | Hook::Login | Hook::Status | Hook::Usage => {
            (&[M::Service], &[])
        }
        Hook::Renew => (&[M::Service, M::PaidUntil], &[]),
        Hook::ChangePackage => (&[M::Service, M::Product], &[]),
        Hook::ChangePassword => (&[M::Service], &[M::Password, M::Target]),
        Hook::OrderAddons => (&[M::Service, M::Addons], &[]),
        Hook::Power => (&[M::Service, M::Power], &[]),
        Hook::Reinstall => (&[M::Service, M::Confirm], &[M::Product, M::Password]),
        Hook::List | Hook::Test => (&[M::Server], &[]),
        Hook::Options => (&[M::Server, M::Field], &[]),
        Hook::Capacity => (&[M::Server, M::Product], &[]),
        Hook::Action => (&[M::Service, M::Action], &[M::Params]),
    };
    Takes { needs, may }
}

impl Takes {
    /// Refuses a body that lacks something, or has something that this hook has no use for.
    pub(super) fn check(self, body: &HookBody, hook: Hook) -> Result<(), Problem> {
        let is_refused =
            |member: &Member| member.is_in(body) && !self.needs.contains(member) && !self.may.contains(member);
        if let Some(member) = Member::ALL.iter().find(|member| is_refused(member)) {
            return Err(Problem::at(member.pointer(), format!("{hook} takes no `{}`", member.as_str()))
                .remedy(self.to_string()));
        }
        if let Some(member) = self.needs.iter().find(|member| !member.is_in(body)) {
            let text = match member {
                Member::Confirm => format!("{hook} loses what is on the machine: it needs `confirm: true`"),
                member => format!("{hook} needs `{}`", member.as_str()),
            };
            return Err(Problem::at(member.pointer(), text).remedy(self.to_string()));
        }
        Ok(())
    }
}

impl std::fmt::Display for Takes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let words = |members: &[Member]| members.iter().map(|member| member.as_str()).collect::<Vec<_>>().join(", ");
        write!(f, "it needs {}", words(self.needs))?;
        if self.may.is_empty() { Ok(()) } else { write!(f, ", and may have {}", words(self.may)) }
    }
}

impl Member {
    /// Every member.
    pub const ALL: [Self; 14] = [
        Self::Service,
        Self::Server,
        Self::Client,
        Self::Product,
        Self::Password,
        Self::PaidUntil,
        Self::Reason,
        Self::Action,
        Self::Params,
        Self::Addons,
        Self::Power,
        Self::Target,
        Self::Confirm,
        Self::Field,
    ];

    /// Its name in the body.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Server => "server",
            Self::Client => "client",
            Self::Product => "product",
            Self::Password => "password",
            Self::PaidUntil => "paid_until",
            Self::Reason => "reason",
            Self::Action => "action",
            Self::Params => "params",
            Self::Addons => "addons",
            Self::Power => "power",
            Self::Target => "target",
            Self::Confirm => "confirm",
            Self::Field => "field",
        }
    }

    fn pointer(self) -> String {
        format!("/{}", self.as_str())
    }

    fn is_in(self, body: &HookBody) -> bool {
        match self {
            Self::Service => body.service.is_some(),
            Self::Server => body.server.is_some(),
            Self::Client => body.client.is_some(),
            Self::Product => body.product.is_some(),
            Self::Password => body.password.is_some(),
            Self::PaidUntil => body.paid_until.is_some(),
            Self::Reason => body.reason.is_some(),
            Self::Action => body.action.is_some(),
            Self::Params => !body.params.is_null(),
            Self::Addons => !body.addons.is_empty(),
            Self::Power => body.power.is_some(),
            Self::Target => body.target.is_some(),
            Self::Confirm => body.confirm,
            Self::Field => body.field.is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_member_of_a_body_has_its_word() {
        let whole: HookBody = serde_json::from_value(json!({
            "service": { "id": "1" }, "server": "s", "client": {}, "product": { "id": "p" }, "password": "x",
            "paid_until": { "from": "2026-01-01", "to": "2027-01-01" }, "reason": "r", "action": "a", "params": 1,
            "addons": [{ "id": "a" }], "power": "stop", "target": "root", "confirm": true, "field": "f",
        }))
        .unwrap();

        let written = serde_json::to_value(&whole).unwrap();

        let mut words: Vec<&str> = Member::ALL.iter().map(|member| member.as_str()).collect();
        words.sort_unstable();
        assert_eq!(written.as_object().unwrap().keys().collect::<Vec<_>>(), words);
        assert!(Member::ALL.iter().all(|member| member.is_in(&whole) && !member.is_in(&HookBody::default())));
    }

    #[test]
    fn the_api_page_has_the_same_table() {
        let page = include_str!("../../../docs/http-api.md");
        let words = |members: &[Member]| {
            members.iter().map(|member| format!("`{}`", member.as_str())).collect::<Vec<_>>().join(", ")
        };
        for hook in Hook::ALL {
            let Takes { needs, may } = takes(hook);
            let row = format!("| `{hook}` | {} | {} |", words(needs), words(may)).replace("|  |", "| |");
            assert!(page.contains(&row), "docs/http-api.md lacks a row that begins {row}");
        }
    }
}
