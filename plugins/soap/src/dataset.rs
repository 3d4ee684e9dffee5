//! DataSets of .NET services.

use crate::error::ReadError;
use crate::tree::Node;

const DIFFGRAM: &str = "urn:schemas-microsoft-com:xml-diffgram-v1";

/// The rows of one table of the DataSet in `result`: `Table`, and `Table1`, `Table2`, ... for further results.
///
/// Columns are elements of a row, asked by [`Node::find`]: one that is null is left out. The schema that stands beside the
/// rows is passed over, and so are rows from before a change.
///
/// # Errors
///
/// [`ReadError::Missing`] if there is no DataSet. One without rows is none of an error.
pub fn rows<'t>(result: Node<'t>, table: &str) -> Result<Vec<Node<'t>>, ReadError> {
    let diffgram = result.children().find(|child| child.is(DIFFGRAM, "diffgram"));
    let diffgram = diffgram.ok_or_else(|| result.missing("diffgram"))?.holder()?;
    // Beside the data may stand `before` and `errors`, of the diffgram's own namespace.
    let data = diffgram.children().find(|child| child.namespace() != DIFFGRAM).map(Node::holder).transpose()?;
    Ok(data.map(|data| data.all(table).collect()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Limits;

    fn shown(inner: &str) -> Result<Vec<String>, String> {
        let text = format!(
            "<R><xs:schema xmlns:xs='http://www.w3.org/2001/XMLSchema'><xs:element name='Table'/></xs:schema>{inner}</R>"
        );
        let tree = Limits::default().read(None, text.as_bytes()).unwrap();
        let rows = rows(tree.root(), "Table").map_err(|error| error.to_string())?;
        Ok(rows.iter().map(|row| row.find("Name").map_or("-", |name| name.text().unwrap()).to_owned()).collect())
    }

    #[test]
    fn rows_come_from_the_data_of_the_diffgram() {
        let diffgram = |inner: &str| format!("<d:diffgram xmlns:d='{DIFFGRAM}'>{inner}</d:diffgram>");
        for (inner, expected) in [
            (
                diffgram(
                    "<NewDataSet xmlns=''><Table d:id='Table1'><Name>a</Name></Table><Table1><Name>x</Name></Table1>\
                     <Table/></NewDataSet><d:before><Table><Name>old</Name></Table></d:before>",
                ),
                Ok(vec!["a".to_owned(), "-".to_owned()]),
            ),
            (diffgram(""), Ok(vec![])),
            (diffgram("none"), Err("R/diffgram is no element with elements".to_owned())),
            (diffgram("<Data xmlns=''>none</Data>"), Err("R/diffgram/Data is no element with elements".to_owned())),
            (diffgram("<d:before><Table/></d:before>"), Ok(vec![])),
            (String::new(), Err("the answer has no R/diffgram".to_owned())),
        ] {
            assert_eq!(shown(&inner), expected, "{inner}");
        }
    }
}
