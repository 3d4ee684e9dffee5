//! The names that things of a service have on the panel. They are made out of the service alone, so that a lookup after a
//! crash finds what was made before it.

use crate::settings::{Server, UserPer};
use billhook_plugin_api::{Fault, Service};

/// The panel's limit for a user's name.
const USERNAME_MAX: usize = 50;
/// The panel cuts a machine's NetBIOS name here.
const LABEL_MAX: usize = 15;
/// What names may hold beside letters and digits; those of machines only the dash.
const MARKS: &str = "-._";

/// How the server's settings name things.
#[derive(Debug, Clone)]
pub struct Naming {
    pub user_per: UserPer,
    pub user_prefix: Option<String>,
    pub machine_domain: String,
    pub machine_prefix: String,
}

/// What a service's things are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    pub username: String,
    pub space: String,
    /// With its domain.
    pub machine: String,
    /// The space's comment: who made it, for whom, in which life of the service.
    pub marker: String,
}

impl Naming {
    pub fn of(server: &Server) -> Self {
        Self {
            user_per: server.user_per,
            user_prefix: server.user_prefix.clone(),
            machine_domain: server.machine_domain.clone(),
            machine_prefix: server.machine_prefix.clone(),
        }
    }

    /// The names for a service.
    ///
    /// # Errors
    ///
    /// `invalid_input` where the user is the customer's, and the service has no customer.
    pub fn names(&self, service: &Service) -> Result<Names, Fault> {
        let life = if service.epoch > 1 { format!("-{}", service.epoch) } else { String::new() };
        let prefix = match &self.user_prefix {
            Some(prefix) => prefix.clone(),
            None => format!("{}-", plain(&service.platform, 20, MARKS)),
        };
        let username = match (self.user_per, service.client_id.as_deref()) {
            (UserPer::Service, _) => {
                format!(
                    "{prefix}{}{life}",
                    plain(&service.id, USERNAME_MAX.saturating_sub(prefix.len() + life.len()), MARKS)
                )
            }
            (UserPer::Client, Some(client)) => {
                format!("{prefix}c{}", plain(client, USERNAME_MAX.saturating_sub(prefix.len() + 1), MARKS))
            }
            (UserPer::Client, None) => {
                return Err(Fault::invalid_input("user_per is client, and the service has no client_id"));
            }
        };
        let room = LABEL_MAX.saturating_sub(self.machine_prefix.len() + life.len());
        let label = plain(&service.id, room, "-");
        Ok(Names {
            username,
            space: format!("svc-{}{life}", plain(&service.id, 100, MARKS)),
            machine: format!("{}{label}{life}.{}", self.machine_prefix, self.machine_domain),
            marker: format!("billhook:{}:{}:{}", service.platform, service.id, service.epoch),
        })
    }
}

/// `text` in small letters, digits and `marks`, at most `max` of them. Where something is lost, a check sum of the whole
/// text stands in for it, so that two texts do not become one name.
fn plain(text: &str, max: usize, marks: &str) -> String {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || marks.contains(c);
    if !text.is_empty() && text.len() <= max && text.chars().all(is_plain) && !text.ends_with(['-', '.']) {
        return text.to_owned();
    }
    let sum = format!("{:08x}", sum(text));
    let kept = max.saturating_sub(sum.len() + 1);
    let head: String = text.chars().filter(|&c| c.is_ascii_lowercase() || c.is_ascii_digit()).take(kept).collect();
    if head.is_empty() { sum } else { format!("{head}-{sum}") }
}

/// FNV-1a.
fn sum(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn naming(user_per: UserPer) -> Naming {
        Naming { user_per, user_prefix: None, machine_domain: "vm.example.test".into(), machine_prefix: "h".into() }
    }

    fn service(id: &str, epoch: u32) -> Service {
        Service { platform: "shop".into(), id: id.into(), epoch, client_id: Some("77".into()), ..Service::default() }
    }

    #[test]
    fn the_names_of_a_service_are_its_ids() {
        let names = naming(UserPer::Service).names(&service("10042", 1)).unwrap();

        assert_eq!(names.username, "shop-10042");
        assert_eq!(names.space, "svc-10042");
        assert_eq!(names.machine, "h10042.vm.example.test");
        assert_eq!(names.marker, "billhook:shop:10042:1");
    }

    #[test]
    fn another_life_of_a_service_shares_no_name_but_the_customers() {
        let first = naming(UserPer::Service).names(&service("10042", 1)).unwrap();
        let second = naming(UserPer::Service).names(&service("10042", 2)).unwrap();

        assert_eq!(second.username, "shop-10042-2");
        assert_eq!(second.machine, "h10042-2.vm.example.test");
        assert!(first.space != second.space && first.marker != second.marker);
        assert_eq!(naming(UserPer::Client).names(&service("10042", 2)).unwrap().username, "shop-c77");
    }

    #[test]
    fn no_two_ids_become_one_name_and_every_name_fits() {
        let long = "9".repeat(80);
        let ids =
            ["1", "a b", "a-b", "A-B", "a_b", "a.b", "ü", "ö", "", "x-", &long, "123456789012345", "1234567890123456"];
        let mut users = BTreeSet::new();
        let mut labels = BTreeSet::new();
        for id in ids {
            let names = naming(UserPer::Service).names(&service(id, 3)).unwrap();
            let label = names.machine.split('.').next().unwrap().to_owned();
            assert!(names.username.len() <= USERNAME_MAX && label.len() <= LABEL_MAX, "{names:?}");
            assert!(label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{label}");
            assert!(users.insert(names.username), "{id}");
            assert!(labels.insert(label), "{id}");
        }
    }

    #[test]
    fn a_customers_user_needs_a_customer() {
        let nobody = Service { client_id: None, ..service("1", 1) };
        assert!(naming(UserPer::Client).names(&nobody).is_err());
        assert!(naming(UserPer::Service).names(&nobody).is_ok());
    }
}
