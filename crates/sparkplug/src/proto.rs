//! The messages of the Sparkplug B payload, field by field as the specification lists them (Sparkplug 3.0.0 §6.4.1), written by hand for
//! `prost`; fields and numbers are the wire format, nothing is copied from a generated file. Extensions and unknown fields are skipped.

/// The payload of every Sparkplug message but STATE.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Payload {
    /// When the message was sent, in ms since 1970 UTC.
    #[prost(uint64, optional, tag = "1")]
    pub timestamp: Option<u64>,
    /// The metrics, in chronological order.
    #[prost(message, repeated, tag = "2")]
    pub metrics: Vec<Metric>,
    /// Sequence number, 0 to 255.
    #[prost(uint64, optional, tag = "3")]
    pub seq: Option<u64>,
    /// Names a schema of `body`.
    #[prost(string, optional, tag = "4")]
    pub uuid: Option<String>,
    /// Bytes of a custom encoding.
    #[prost(bytes = "vec", optional, tag = "5")]
    pub body: Option<Vec<u8>>,
}

/// One metric.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Metric {
    /// Its name; in births, and where there is no alias.
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    /// A number for its name, unique within the edge node.
    #[prost(uint64, optional, tag = "2")]
    pub alias: Option<u64>,
    /// When the value was captured, in ms since 1970 UTC.
    #[prost(uint64, optional, tag = "3")]
    pub timestamp: Option<u64>,
    /// The code of a [`crate::DataType`].
    #[prost(uint32, optional, tag = "4")]
    pub datatype: Option<u32>,
    /// Belongs into history and is no current value.
    #[prost(bool, optional, tag = "5")]
    pub is_historical: Option<bool>,
    /// Is of no interest to a historian.
    #[prost(bool, optional, tag = "6")]
    pub is_transient: Option<bool>,
    /// There is no value.
    #[prost(bool, optional, tag = "7")]
    pub is_null: Option<bool>,
    /// About bytes and files.
    #[prost(message, optional, boxed, tag = "8")]
    pub metadata: Option<Box<MetaData>>,
    /// `Quality`, `engUnit` and whatever else.
    #[prost(message, optional, tag = "9")]
    pub properties: Option<PropertySet>,
    /// The value.
    #[prost(oneof = "MetricValue", tags = "10, 11, 12, 13, 14, 15, 16, 17, 18, 19")]
    pub value: Option<MetricValue>,
}

/// A metric's value as it is encoded.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum MetricValue {
    /// Integers of up to 32 bits; negative ones as two's complement.
    #[prost(uint32, tag = "10")]
    Int(u32),
    /// Integers of 64 bits and times.
    #[prost(uint64, tag = "11")]
    Long(u64),
    /// A single.
    #[prost(float, tag = "12")]
    Float(f32),
    /// A double.
    #[prost(double, tag = "13")]
    Double(f64),
    /// True or false.
    #[prost(bool, tag = "14")]
    Boolean(bool),
    /// Text.
    #[prost(string, tag = "15")]
    Text(String),
    /// Bytes, files, arrays.
    #[prost(bytes, tag = "16")]
    Bytes(Vec<u8>),
    /// A table.
    #[prost(message, boxed, tag = "17")]
    DataSet(Box<DataSet>),
    /// A structure.
    #[prost(message, boxed, tag = "18")]
    Template(Box<Template>),
    /// Somebody's extension.
    #[prost(message, tag = "19")]
    Extension(Nothing),
}

/// An extension point; its content is skipped.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Nothing {}

/// About bytes and files.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct MetaData {
    /// A part of something larger.
    #[prost(bool, optional, tag = "1")]
    pub is_multi_part: Option<bool>,
    /// Media type.
    #[prost(string, optional, tag = "2")]
    pub content_type: Option<String>,
    /// Bytes.
    #[prost(uint64, optional, tag = "3")]
    pub size: Option<u64>,
    /// Which part.
    #[prost(uint64, optional, tag = "4")]
    pub seq: Option<u64>,
    /// File name.
    #[prost(string, optional, tag = "5")]
    pub file_name: Option<String>,
    /// File type.
    #[prost(string, optional, tag = "6")]
    pub file_type: Option<String>,
    /// Checksum.
    #[prost(string, optional, tag = "7")]
    pub md5: Option<String>,
    /// Anything.
    #[prost(string, optional, tag = "8")]
    pub description: Option<String>,
}

/// Keys and values, of equal number.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PropertySet {
    /// The names.
    #[prost(string, repeated, tag = "1")]
    pub keys: Vec<String>,
    /// The values.
    #[prost(message, repeated, tag = "2")]
    pub values: Vec<PropertyValue>,
}

/// Several property sets.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PropertySetList {
    /// The sets.
    #[prost(message, repeated, tag = "1")]
    pub sets: Vec<PropertySet>,
}

/// A property's value.
#[derive(Clone, PartialEq, prost::Message)]
pub struct PropertyValue {
    /// The code of a [`crate::DataType`].
    #[prost(uint32, optional, tag = "1")]
    pub kind: Option<u32>,
    /// There is no value.
    #[prost(bool, optional, tag = "2")]
    pub is_null: Option<bool>,
    /// The value.
    #[prost(oneof = "PropertyKind", tags = "3, 4, 5, 6, 7, 8, 9, 10, 11")]
    pub value: Option<PropertyKind>,
}

/// A property's value as it is encoded.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum PropertyKind {
    /// Up to 32 bits.
    #[prost(uint32, tag = "3")]
    Int(u32),
    /// 64 bits.
    #[prost(uint64, tag = "4")]
    Long(u64),
    /// A single.
    #[prost(float, tag = "5")]
    Float(f32),
    /// A double.
    #[prost(double, tag = "6")]
    Double(f64),
    /// True or false.
    #[prost(bool, tag = "7")]
    Boolean(bool),
    /// Text.
    #[prost(string, tag = "8")]
    Text(String),
    /// A set within.
    #[prost(message, tag = "9")]
    Set(PropertySet),
    /// Sets within.
    #[prost(message, tag = "10")]
    Sets(PropertySetList),
    /// Somebody's extension.
    #[prost(message, tag = "11")]
    Extension(Nothing),
}

/// A table.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DataSet {
    /// How many columns.
    #[prost(uint64, optional, tag = "1")]
    pub num_of_columns: Option<u64>,
    /// Their names.
    #[prost(string, repeated, tag = "2")]
    pub columns: Vec<String>,
    /// Their types.
    #[prost(uint32, repeated, packed = "false", tag = "3")]
    pub types: Vec<u32>,
    /// The rows.
    #[prost(message, repeated, tag = "4")]
    pub rows: Vec<Row>,
}

/// A table's row.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Row {
    /// One for each column.
    #[prost(message, repeated, tag = "1")]
    pub elements: Vec<Element>,
}

/// A table's cell.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Element {
    /// The value.
    #[prost(oneof = "ElementValue", tags = "1, 2, 3, 4, 5, 6, 7")]
    pub value: Option<ElementValue>,
}

/// A cell's value as it is encoded.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum ElementValue {
    /// Up to 32 bits.
    #[prost(uint32, tag = "1")]
    Int(u32),
    /// 64 bits.
    #[prost(uint64, tag = "2")]
    Long(u64),
    /// A single.
    #[prost(float, tag = "3")]
    Float(f32),
    /// A double.
    #[prost(double, tag = "4")]
    Double(f64),
    /// True or false.
    #[prost(bool, tag = "5")]
    Boolean(bool),
    /// Text.
    #[prost(string, tag = "6")]
    Text(String),
    /// Somebody's extension.
    #[prost(message, tag = "7")]
    Extension(Nothing),
}

/// A structure: its definition, or an instance of one.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Template {
    /// Version of the definition.
    #[prost(string, optional, tag = "1")]
    pub version: Option<String>,
    /// The members.
    #[prost(message, repeated, tag = "2")]
    pub metrics: Vec<Metric>,
    /// The parameters.
    #[prost(message, repeated, tag = "3")]
    pub parameters: Vec<Parameter>,
    /// The definition's name, in an instance.
    #[prost(string, optional, tag = "4")]
    pub template_ref: Option<String>,
    /// Whether it is a definition.
    #[prost(bool, optional, tag = "5")]
    pub is_definition: Option<bool>,
}

/// A structure's parameter.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Parameter {
    /// Its name.
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    /// The code of a [`crate::DataType`].
    #[prost(uint32, optional, tag = "2")]
    pub kind: Option<u32>,
    /// The value.
    #[prost(oneof = "ParameterValue", tags = "3, 4, 5, 6, 7, 8, 9")]
    pub value: Option<ParameterValue>,
}

/// A parameter's value as it is encoded.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum ParameterValue {
    /// Up to 32 bits.
    #[prost(uint32, tag = "3")]
    Int(u32),
    /// 64 bits.
    #[prost(uint64, tag = "4")]
    Long(u64),
    /// A single.
    #[prost(float, tag = "5")]
    Float(f32),
    /// A double.
    #[prost(double, tag = "6")]
    Double(f64),
    /// True or false.
    #[prost(bool, tag = "7")]
    Boolean(bool),
    /// Text.
    #[prost(string, tag = "8")]
    Text(String),
    /// Somebody's extension.
    #[prost(message, tag = "9")]
    Extension(Nothing),
}
