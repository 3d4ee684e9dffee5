use smallvec::SmallVec;
use std::str::FromStr;

/// Where a reply or request holds a secret, as declared by a plugin.
///
/// Names joined by dots, from the root: `data.settings.decryptedPassword`. `*` is any one member or element, `[]` (also
/// written `name[]` or `name[*]`) any element, `**` any number of levels, none included. Names are compared without
/// regard to ASCII case. Arrays may be left out of a path: `data.password` also covers each element of `data`. What the
/// path names is masked whole, be it a string, a number, an object or an array. In XML the names are local names from the
/// root element on; in forms, `a[b]` reads as `a.b`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretPath {
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Name(String),
    Any,
    Deep,
}

/// Why a text is no path of a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// Nothing between two dots, or no text at all.
    #[error("secret path `{path}` has an empty part")]
    EmptyPart {
        /// The path as given.
        path: String,
    },
    /// More parts than a path can have.
    #[error("secret path `{path}` has more than {MAX_STEPS} parts")]
    TooLong {
        /// The path as given.
        path: String,
    },
}

// One bit per step in a `u64`, and one for "reached".
const MAX_STEPS: usize = 63;

impl FromStr for SecretPath {
    type Err = PathError;

    fn from_str(path: &str) -> Result<Self, PathError> {
        let mut steps = Vec::new();
        for part in path.split('.') {
            let (name, elements) = split_elements(part);
            match name {
                "" if elements == 0 => return Err(PathError::EmptyPart { path: path.to_owned() }),
                "" => {}
                "*" => steps.push(Step::Any),
                "**" => steps.push(Step::Deep),
                name => steps.push(Step::Name(name.to_owned())),
            }
            steps.extend(std::iter::repeat_n(Step::Any, elements));
        }
        if steps.len() > MAX_STEPS {
            return Err(PathError::TooLong { path: path.to_owned() });
        }
        Ok(Self { steps })
    }
}

/// Splits `name[][*]` into `name` and 2.
fn split_elements(part: &str) -> (&str, usize) {
    let (mut name, mut elements) = (part, 0);
    while let Some(rest) = name.strip_suffix("[]").or_else(|| name.strip_suffix("[*]")) {
        (name, elements) = (rest, elements + 1);
    }
    (name, elements)
}

/// How far each declared path has come at one place of a document.
#[derive(Clone, Debug)]
pub(super) struct Reached(SmallVec<[u64; 8]>);

impl Reached {
    pub(super) fn root(paths: &[SecretPath]) -> Self {
        Self(paths.iter().map(|path| path.settled(1)).collect())
    }

    /// At the member `name`.
    pub(super) fn member(&self, paths: &[SecretPath], name: &str) -> Self {
        self.advance(paths, |path, states| path.entered(states, Some(name)))
    }

    /// At an array's element, which a path may spell out or leave out.
    pub(super) fn element(&self, paths: &[SecretPath]) -> Self {
        self.advance(paths, |path, states| states | path.entered(states, None))
    }

    fn advance(&self, paths: &[SecretPath], step: impl Fn(&SecretPath, u64) -> u64) -> Self {
        Self(self.0.iter().zip(paths).map(|(states, path)| path.settled(step(path, *states))).collect())
    }

    /// Whether a path ends here.
    pub(super) fn is_secret(&self, paths: &[SecretPath]) -> bool {
        self.0.iter().zip(paths).any(|(states, path)| states >> path.steps.len() & 1 == 1)
    }
}

impl SecretPath {
    fn entered(&self, states: u64, name: Option<&str>) -> u64 {
        let mut entered = 0;
        let mut left = states;
        while let Some(step) = self.steps.get(left.trailing_zeros() as usize) {
            let index = left.trailing_zeros();
            left &= left - 1;
            match step {
                Step::Deep => entered |= 1 << index,
                Step::Any => entered |= 1 << (index + 1),
                Step::Name(wanted) if name.is_some_and(|name| name.eq_ignore_ascii_case(wanted)) => {
                    entered |= 1 << (index + 1);
                }
                Step::Name(_) => {}
            }
        }
        entered
    }

    /// Adds what is reached without a further level: the step behind a `**`.
    fn settled(&self, mut states: u64) -> u64 {
        if states == 0 {
            return 0;
        }
        for (index, step) in self.steps.iter().enumerate() {
            if *step == Step::Deep && states >> index & 1 == 1 {
                states |= 1 << (index + 1);
            }
        }
        states
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether `path` names the place; `#` in the place is an array's element.
    fn covers(path: &str, place: &str) -> bool {
        let paths = [path.parse().unwrap()];
        let mut reached = Reached::root(&paths);
        for part in place.split('.').filter(|part| !part.is_empty()) {
            reached = if part == "#" { reached.element(&paths) } else { reached.member(&paths, part) };
        }
        reached.is_secret(&paths)
    }

    #[test]
    fn a_path_covers_what_it_names_and_nothing_beside() {
        for (path, place, expected) in [
            ("data.settings.decryptedPassword", "data.settings.decryptedPassword", true),
            ("data.settings.decryptedPassword", "data.settings", false),
            ("data.settings.decryptedPassword", "data.settings.name", false),
            ("Data.Password", "data.password", true),
            ("data.*.password", "data.7.password", true),
            ("data.*.password", "data.#.password", true),
            ("data.*.password", "data.a.b.password", false),
            ("data[].password", "data.#.password", true),
            ("data[*].password", "data.#.password", true),
            ("data.[].password", "data.#.password", true),
            ("data[][]", "data.#.#", true),
            ("data.password", "data.#.password", true),
            ("data.password", "data.password.#", true),
            ("**.password", "password", true),
            ("**.password", "a.#.b.password", true),
            ("a.**.c", "a.c", true),
            ("a.**.c", "a.b.b.c", true),
            ("a.**.c", "b.c", false),
            ("a.**", "a.x.y", true),
            ("**.**.x", "x", true),
        ] {
            assert_eq!(covers(path, place), expected, "{path} at {place}");
        }
    }

    #[test]
    fn an_empty_part_and_an_endless_path_are_refused() {
        for path in ["", "a..b", ".a", "a."] {
            assert_eq!(path.parse::<SecretPath>(), Err(PathError::EmptyPart { path: path.into() }));
        }
        let long = vec!["a"; 64].join(".");
        assert_eq!(long.parse::<SecretPath>(), Err(PathError::TooLong { path: long }));
    }
}
