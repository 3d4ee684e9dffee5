//! SOAP 1.1 for providers: requests are written, answers are read within bounds, and nothing is sent from here.
//!
//! A request is [`literal`] (document/literal wrapped, as .NET services want it) or [`encoded`] (rpc with the types of
//! SOAP section 5, as PHP services want it). An answer is read into a [`Tree`], whose [`Node`]s are asked by local name;
//! [`answer`] finds the response or the [`Fault`] in it, [`values`] reads what rpc answers are made of, and [`rows`]
//! reads a DataSet. A WSDL is needed for none of it.
//!
//! ```
//! use billhook_soap::{Answer, Limits, Param, encoded};
//!
//! let request = encoded("urn:toys", "toy_find", &[("id", Param::Int(7)), ("opts", Param::Map(vec![]))])?;
//! assert!(request.contains(r#"<id xsi:type="xsd:int">7</id>"#));
//!
//! let body = br#"<E:Envelope xmlns:E="http://schemas.xmlsoap.org/soap/envelope/"><E:Body>
//!     <x:toy_findResponse xmlns:x="urn:toys"><return>Bear</return></x:toy_findResponse>
//! </E:Body></E:Envelope>"#;
//! let tree = Limits::default().read(Some("text/xml; charset=utf-8"), body)?;
//! let Answer::Response(response) = billhook_soap::answer(&tree, "toy_find")? else { panic!("a fault") };
//! assert_eq!(response.child("return")?.text()?, "Bear");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![forbid(unsafe_code)]

mod document;
mod rpc;
mod writer; // requests

mod dataset;
mod envelope;
mod error; // answers from here
mod reader;
mod tree;
mod values;

pub use dataset::rows;
pub use document::{Content, literal};
pub use envelope::{Answer, Fault, answer};
pub use error::ReadError;
pub use reader::Limits;
pub use rpc::{Param, encoded};
pub use tree::{Node, Tree};
pub use values::{entries, items};
pub use writer::WriteError;

/// The content type of a request.
pub const CONTENT_TYPE: &str = "text/xml; charset=utf-8";

/// The namespace of SOAP 1.1 envelopes.
pub const ENVELOPE: &str = "http://schemas.xmlsoap.org/soap/envelope/";

/// The namespace of `type` and `nil`.
pub const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// The value of the header `SOAPAction`, which is quoted: `soap_action("urn:x#", "find")` is `"urn:x#find"`.
pub fn soap_action(base: &str, operation: &str) -> String {
    format!("\"{base}{operation}\"")
}
