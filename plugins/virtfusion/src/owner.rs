//! Who owns what: how a customer is linked to a panel user, and whether a server is the service's own.

use crate::server::Server;
use crate::settings::{Product, UserRelation, is_relation};
use billhook_plugin_api::{Client, Fault, Service};

/// The key by which a panel user is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Relation {
    /// External relation id.
    Id(u64),
    /// Relation string.
    Text(String),
}

impl Relation {
    /// The relation of a service's customer.
    pub fn of(service: &Service, kind: UserRelation, prefix: Option<&str>) -> Result<Self, Fault> {
        let client = service.client_id.as_deref().ok_or_else(|| {
            Fault::invalid_input("the customer's id is needed to find or make the panel user; none was sent")
        })?;
        match kind {
            UserRelation::ExtId => client.parse().ok().filter(|&id| id > 0).map(Self::Id).ok_or_else(|| {
                Fault::invalid_input(
                    "user_relation ext_id needs a customer id that is a positive whole number; rel_str takes others",
                )
            }),
            UserRelation::RelStr => {
                let text = format!("{}{client}", prefix.unwrap_or_default());
                if is_relation(client) && (2..=200).contains(&text.len()) {
                    Ok(Self::Text(text))
                } else {
                    Err(Fault::invalid_input(
                        "the customer's id with relation_prefix must be 2 to 200 letters, digits, `-` or `_`",
                    ))
                }
            }
        }
    }
}

impl std::fmt::Display for Relation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// The name of a new panel user. The panel wants at least 3 characters.
pub fn user_name(client: &Client) -> String {
    let long_enough = |name: &&str| name.chars().count() >= 3;
    let company = client.company.as_deref().unwrap_or_default().trim();
    let name = client.name.trim();
    match [name, company].into_iter().find(long_enough) {
        Some(name) => name.to_owned(),
        None => format!("{name} ({})", client.email.trim()).trim().to_owned(),
    }
}

/// Refuses a server that is somebody else's by every evidence that there is.
///
/// Evidence is the owner that create noted, the product's shared owner, and the customer's number on the panel user. One
/// that agrees is enough, so that staff may move a server to another user of the same customer; where there is none, as
/// for a service that another system made, the id alone counts.
pub fn check(server: &Server, service: &Service, product: &Product, kind: UserRelation) -> Result<(), Fault> {
    let noted = service.properties.get("owner_id").and_then(serde_json::Value::as_u64);
    let by_owner = noted.or(product.virtfusion_user_id).map(|owner| owner == server.owner_id);
    let client = service.client_id.as_deref().and_then(|id| id.parse::<u64>().ok());
    let by_relation = match (kind, product.virtfusion_user_id, client, server.owner_relation) {
        (UserRelation::ExtId, None, Some(client), Some(found)) => Some(client == found),
        _ => None,
    };
    match (by_owner, by_relation) {
        (Some(true), _) | (_, Some(true)) | (None, None) => Ok(()),
        _ => Err(Fault::not_found(format!(
            "server {} belongs to panel user {}, who is not this service's customer: check the service's id, or give the \
             server back to its customer on the panel",
            server.id, server.owner_id,
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage;
    use serde_json::json;

    fn relation(client: Option<&str>, kind: UserRelation) -> Option<String> {
        let service = Service { client_id: client.map(str::to_owned), ..Service::default() };
        Relation::of(&service, kind, Some("shop-")).ok().map(|relation| relation.to_string())
    }

    #[test]
    fn a_customer_that_cannot_be_linked_is_refused() {
        use UserRelation::{ExtId, RelStr};
        for (client, kind, expected) in [
            (Some("42"), ExtId, Some("42")),
            (Some("0"), ExtId, None),
            (Some("-1"), ExtId, None),
            (Some("a1"), ExtId, None),
            (None, ExtId, None),
            (Some("42"), RelStr, Some("shop-42")),
            (Some("a_1"), RelStr, Some("shop-a_1")),
            (Some("a/1"), RelStr, None),
            (Some(""), RelStr, None),
            (None, RelStr, None),
        ] {
            assert_eq!(relation(client, kind).as_deref(), expected, "{client:?} {kind:?}");
        }
        assert_eq!(relation(Some(&"9".repeat(196)), RelStr), None);
    }

    #[test]
    fn a_short_name_is_made_longer() {
        for (name, company, expected) in [
            (" Ann Smith ", None, "Ann Smith"),
            ("Bo", Some("Bo Ltd"), "Bo Ltd"),
            ("Bo", None, "Bo (b@x.org)"),
            ("", Some("X"), "(b@x.org)"),
        ] {
            let client = Client {
                name: name.into(),
                company: company.map(str::to_owned),
                email: "b@x.org".into(),
                ..Client::default()
            };
            assert_eq!(user_name(&client), expected);
        }
    }

    #[test]
    fn one_evidence_that_agrees_is_enough_and_one_that_does_not_is_too_much() {
        let server = |owner: u64, relation: Option<u64>| -> Server {
            Server::read(&json!({
                "id": 7, "ownerId": owner, "uuid": "u", "state": "complete", "suspended": false, "buildFailed": false,
                "commissionStatus": 3, "built": null, "owner": { "extRelationId": relation },
            }))
            .unwrap()
        };
        // The noted owner is 300 where there is one; the customer is 42.
        for (has_note, shared, owner, relation, is_ours) in [
            (true, None, 300, Some(42), true),
            (true, None, 300, None, true),
            (true, None, 300, Some(43), true),
            (true, None, 301, Some(42), true),
            (true, None, 301, Some(43), false),
            (true, None, 301, None, false),
            (false, None, 301, Some(42), true),
            (false, None, 301, Some(43), false),
            (false, None, 301, None, true),
            (false, Some(5), 5, Some(43), true),
            (false, Some(5), 6, Some(42), false),
        ] {
            let mut service = stage::service();
            if !has_note {
                service.properties.clear();
            }
            let product = stage::product(json!({ "virtfusion_user_id": shared }));
            let found = check(&server(owner, relation), &service, &product, UserRelation::ExtId).is_ok();
            assert_eq!(found, is_ours, "{has_note} {shared:?} {owner} {relation:?}");
        }
    }
}
