//! Why an answer cannot be read.

/// Why an answer cannot be read. Names the place and never quotes a value, since that may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Nothing, or blanks.
    #[error("the answer is empty")]
    Empty,
    /// It does not begin as XML does.
    #[error("the answer is no XML")]
    NotXml,
    /// A charset other than UTF-8, in the header or in the XML declaration.
    #[error("the answer is in the charset {0}, and only UTF-8 is read")]
    Charset(String),
    /// Bytes that are no UTF-8.
    #[error("the answer is not UTF-8, at byte {0}")]
    NotUtf8(usize),
    /// A document type, which could declare entities.
    #[error("the answer has a document type, which is not read")]
    DocType,
    /// More than the [`Limits`](crate::Limits) allow.
    #[error("the answer has more than {limit} {what}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// How much is read.
        limit: usize,
    },
    /// It is cut, or breaks the rules of XML.
    #[error("the answer is cut or not well-formed, in {place}")]
    Malformed {
        /// Elements from the root on.
        place: String,
    },
    /// A reference to an entity that XML itself does not have, or to no character.
    #[error("the answer has a reference that is not read, in {place}")]
    Reference {
        /// Elements from the root on.
        place: String,
    },
    /// XML, and no SOAP envelope with one response or fault in it.
    #[error("the answer is no SOAP envelope: {0}")]
    NotSoap(String),
    /// An element that must be there is not, or is null.
    #[error("the answer has no {place}")]
    Missing {
        /// Elements from the root on.
        place: String,
    },
    /// An element holds something else.
    #[error("{place} is no {wanted}")]
    Misfit {
        /// Elements from the root on.
        place: String,
        /// What it should be.
        wanted: &'static str,
    },
}
