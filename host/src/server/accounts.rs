//! Names of users and groups, from the files that every system has. Accounts of a directory service go by number.

use std::fs;

/// The number of a group that is given by name or number.
pub(super) fn group_id(group: &str) -> Option<u32> {
    group.parse().ok().or_else(|| number_of(&fs::read_to_string("/etc/group").ok()?, group))
}

/// The name of a user, if the system's file has it.
pub(super) fn user_name(uid: u32) -> Option<String> {
    name_of(&fs::read_to_string("/etc/passwd").ok()?, uid)
}

fn number_of(file: &str, name: &str) -> Option<u32> {
    let line = file.lines().find(|line| line.split(':').next() == Some(name))?;
    line.split(':').nth(2)?.parse().ok()
}

fn name_of(file: &str, number: u32) -> Option<String> {
    let number = number.to_string();
    let line = file.lines().find(|line| line.split(':').nth(2) == Some(&number))?;
    line.split(':').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "root:x:0:0:root:/root:/bin/sh\n# odd\n\nwww-data:x:33:33::/var/www:/usr/sbin/nologin\n";

    #[test]
    fn names_and_numbers_are_found_in_whole_fields_only() {
        assert_eq!(number_of(FILE, "www-data"), Some(33));
        assert_eq!(number_of(FILE, "www"), None);
        assert_eq!(name_of(FILE, 33).as_deref(), Some("www-data"));
        assert_eq!(name_of(FILE, 3), None);
        assert_eq!(group_id("4711"), Some(4711));
    }
}
