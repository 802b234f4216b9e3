//! Parquet files as Arc writes them, without Arrow: the physical and logical types are Arc's, so
//! that Arc, DuckDB and everything else read them; only the compression (Snappy and Zstandard
//! there, none here) differs.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use ::parquet::basic::{LogicalType, Repetition, TimeUnit, Type as PhysicalType};
use ::parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use ::parquet::schema::types::{ColumnPath, Type};

use super::error::DemoError;

/// One column of a Parquet file: its name and a value for every row.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The column's name.
    pub name: String,
    /// Its values, in the order of the rows.
    pub values: Values,
}

/// The values of a column, in one of the types that Arc writes.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Microseconds since 1970 in UTC; the column `time` of every measurement.
    Time(Vec<i64>),
    /// UTF-8 text; tags, and fields that are strings.
    Text(Vec<String>),
    /// Double-precision fields.
    Float(Vec<f64>),
    /// 64-bit signed fields.
    Integer(Vec<i64>),
    /// Boolean fields.
    Boolean(Vec<bool>),
}

impl Column {
    /// Makes a column.
    pub fn new(name: impl Into<String>, values: Values) -> Self {
        Self {
            name: name.into(),
            values,
        }
    }

    fn schema_type(&self) -> Result<Type, ParquetError> {
        let (physical, logical) = match self.values {
            Values::Time(_) => (
                PhysicalType::INT64,
                Some(LogicalType::timestamp(true, TimeUnit::MICROS)),
            ),
            Values::Text(_) => (PhysicalType::BYTE_ARRAY, Some(LogicalType::String)),
            Values::Float(_) => (PhysicalType::DOUBLE, None),
            Values::Integer(_) => (PhysicalType::INT64, Some(LogicalType::integer(64, true))),
            Values::Boolean(_) => (PhysicalType::BOOLEAN, None),
        };
        Type::primitive_type_builder(&self.name, physical)
            .with_repetition(Repetition::OPTIONAL)
            .with_logical_type(logical)
            .build()
    }
}

/// Writes `columns` as one Parquet file of one row group at `path`, and returns its size in bytes.
/// `tags` names the columns that are tags: Arc notes them in the file's metadata.
///
/// A file that is there is overwritten; the parent folder must exist. Columns of unequal lengths
/// are an error, and the file written by then is not a Parquet file.
pub fn write_parquet(path: &Path, columns: &[Column], tags: &[&str]) -> Result<u64, DemoError> {
    let failed = DemoError::parquet("write", path);
    let schema = schema(columns).map_err(&failed)?;
    let file = File::create(path).map_err(DemoError::io("create", path))?;
    let mut writer = SerializedFileWriter::new(file, Arc::new(schema), properties(columns, tags))
        .map_err(&failed)?;
    let mut group = writer.next_row_group().map_err(&failed)?;
    for column in columns {
        match &column.values {
            Values::Time(values) | Values::Integer(values) => {
                write_column::<Int64Type>(&mut group, values)
            }
            Values::Text(values) => {
                let values: Vec<ByteArray> = values
                    .iter()
                    .map(|text| ByteArray::from(text.as_str()))
                    .collect();
                write_column::<ByteArrayType>(&mut group, &values)
            }
            Values::Float(values) => write_column::<DoubleType>(&mut group, values),
            Values::Boolean(values) => write_column::<BoolType>(&mut group, values),
        }
        .map_err(&failed)?;
    }
    group.close().map_err(&failed)?;
    let file = writer.into_inner().map_err(&failed)?;
    Ok(file
        .metadata()
        .map_err(DemoError::io("read the size of", path))?
        .len())
}

/// Returns how many rows the Parquet file at `path` says it holds. Reads its footer alone; a file
/// that is cut short or no Parquet at all is an error.
pub fn count_rows(path: &Path) -> Result<u64, DemoError> {
    let failed = DemoError::parquet("read", path);
    let file = File::open(path).map_err(DemoError::io("open", path))?;
    let reader = SerializedFileReader::new(file).map_err(&failed)?;
    let rows = reader.metadata().file_metadata().num_rows();
    u64::try_from(rows).map_err(|_| {
        failed(ParquetError::General(format!(
            "its footer states {rows} rows"
        )))
    })
}

fn schema(columns: &[Column]) -> Result<Type, ParquetError> {
    let fields = columns
        .iter()
        .map(|column| column.schema_type().map(Arc::new))
        .collect::<Result<Vec<_>, _>>()?;
    Type::group_type_builder("schema")
        .with_fields(fields)
        .build()
}

/// A dictionary pays for tags, whose values repeat, and only for them.
fn properties(columns: &[Column], tags: &[&str]) -> Arc<WriterProperties> {
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("arc-backup ", env!("CARGO_PKG_VERSION"), " sample").to_owned())
        .set_dictionary_enabled(false);
    for column in columns
        .iter()
        .filter(|column| matches!(column.values, Values::Text(_)))
    {
        let path = ColumnPath::from(column.name.as_str());
        properties = properties.set_column_dictionary_enabled(path, true);
    }
    if !tags.is_empty() {
        let note = KeyValue::new("arc:tags".to_owned(), tags.join(","));
        properties = properties.set_key_value_metadata(Some(vec![note]));
    }
    Arc::new(properties.build())
}

/// Every column is optional, as Arc's are, and every value present: definition level 1 throughout.
fn write_column<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, File>,
    values: &[T::T],
) -> Result<(), ParquetError> {
    let mut column = group.next_column()?.ok_or_else(|| {
        ParquetError::General("the schema has fewer columns than the table".to_owned())
    })?;
    let present = vec![1; values.len()];
    column
        .typed::<T>()
        .write_batch(values, Some(&present), None)?;
    column.close()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
mod tests {
    use super::*;

    /// Were a torn file counted, a test that counts rows could pass over a damaged restore.
    #[test]
    fn a_torn_file_has_no_count() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("a.parquet");
        let column = Column::new("time", Values::Time(vec![1, 2, 3]));
        let size = write_parquet(&path, &[column], &[]).unwrap();
        assert_eq!(count_rows(&path).unwrap(), 3);
        File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(size - 1)
            .unwrap();
        let error = count_rows(&path).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("cannot read `{}`: ", path.display())),
            "{error}"
        );
    }
}
