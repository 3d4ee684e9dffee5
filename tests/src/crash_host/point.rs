use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Where a host comes by: one side of its n-th exchange or commit, written `exchange:before:3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Point {
    /// Exchange or commit.
    pub what: What,
    /// Which side of it.
    pub side: Side,
    /// Counts from 1 since the start of the process.
    pub n: u64,
}

/// What a host is stopped at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// A request to the panel, with its answer.
    Exchange,
    /// A durable transaction.
    Commit,
}

/// Which side of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Nothing has been sent, nothing is durable.
    Before,
    /// The answer is here, the rows are durable, and nobody has been told.
    After,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exchange => "exchange",
            Self::Commit => "commit",
        })
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Before => "before",
            Self::After => "after",
        })
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.what, self.side, self.n)
    }
}

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let point = match parts[..] {
            [what, side, n] => match (what, side, n.parse()) {
                ("exchange", "before", Ok(n)) => Some((What::Exchange, Side::Before, n)),
                ("exchange", "after", Ok(n)) => Some((What::Exchange, Side::After, n)),
                ("commit", "before", Ok(n)) => Some((What::Commit, Side::Before, n)),
                ("commit", "after", Ok(n)) => Some((What::Commit, Side::After, n)),
                _ => None,
            },
            _ => None,
        };
        let (what, side, n) = point.ok_or_else(|| format!("{text:?} is no point such as exchange:before:3"))?;
        Ok(Self { what, side, n })
    }
}

impl TryFrom<String> for Point {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Point> for String {
    fn from(point: Point) -> Self {
        point.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_read_as_it_is_written() {
        for text in ["exchange:before:3", "exchange:after:1", "commit:before:12", "commit:after:2"] {
            assert_eq!(text.parse::<Point>().unwrap().to_string(), text);
        }
        for bad in ["", "exchange", "exchange:3", "commit:during:3", "commit:after:x", "commit:after:1:2"] {
            assert!(bad.parse::<Point>().is_err(), "{bad:?}");
        }
    }
}
