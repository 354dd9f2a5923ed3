//! Materials and their classes (`B2MML-Material.xsd`).

use crate::code::{AssemblyRelationship, AssemblyType, ClassPropertyType};
use crate::content::One;
use crate::time::DateTime;
use crate::value::{HierarchyScope, Value};
use crate::word::{Identifier, Text};

sequence! {
    /// A class of materials.
    pub struct MaterialClass = "MaterialClassType" {
        /// Its id.
        id: One<Identifier> = "ID",
        /// Its version.
        version: Option<Identifier> = "Version",
        /// For people.
        description: Vec<Text> = "Description",
        /// When it was published.
        published_date: Option<DateTime> = "PublishedDate",
        /// From when on it holds.
        effective_start_date: Option<DateTime> = "EffectiveStartDate",
        /// Until when it holds.
        effective_end_date: Option<DateTime> = "EffectiveEndDate",
        /// Where.
        hierarchy_scope: Option<HierarchyScope> = "HierarchyScope",
        /// The classes that it is made from.
        base_ids: Vec<Identifier> = "MaterialClassBaseID",
        /// What its materials are described by.
        properties: Vec<MaterialClassProperty> = "MaterialClassProperty",
        /// The materials that define it.
        definition_source_ids: Vec<Identifier> = "MaterialDefinitionSourceID",
        /// The classes that it is put together of.
        assembly: Vec<MaterialClass> = "AssemblyClass",
        /// Whether those are joined.
        assembly_type: Option<AssemblyType> = "AssemblyType",
        /// Whether they are to be taken apart again.
        assembly_relationship: Option<AssemblyRelationship> = "AssemblyRelationship",
    }

    /// What materials of a class are described by.
    pub struct MaterialClassProperty = "MaterialClassPropertyType" {
        /// Its id.
        id: One<Identifier> = "ID",
        /// For people.
        description: Vec<Text> = "Description",
        /// Whose value it is.
        property_type: Option<ClassPropertyType> = "PropertyType",
        /// Its values.
        values: Vec<Value> = "Value",
        /// Properties within it.
        children: Vec<MaterialClassProperty> = "MaterialClassPropertyChild",
    }

    /// A material: a product, or what goes into one.
    pub struct MaterialDefinition = "MaterialDefinitionType" {
        /// Its id.
        id: One<Identifier> = "ID",
        /// Its version.
        version: Option<Identifier> = "Version",
        /// For people.
        description: Vec<Text> = "Description",
        /// When it was published.
        published_date: Option<DateTime> = "PublishedDate",
        /// From when on it holds.
        effective_start_date: Option<DateTime> = "EffectiveStartDate",
        /// Until when it holds.
        effective_end_date: Option<DateTime> = "EffectiveEndDate",
        /// Where.
        hierarchy_scope: Option<HierarchyScope> = "HierarchyScope",
        /// What describes it.
        properties: Vec<MaterialDefinitionProperty> = "MaterialDefinitionProperty",
        /// Its classes.
        material_class_ids: Vec<Identifier> = "MaterialClassID",
        /// The materials that it is put together of.
        assembly: Vec<MaterialDefinition> = "AssemblyDefinition",
        /// Whether those are joined.
        assembly_type: Option<AssemblyType> = "AssemblyType",
        /// Whether they are to be taken apart again.
        assembly_relationship: Option<AssemblyRelationship> = "AssemblyRelationship",
    }

    /// What describes a material.
    pub struct MaterialDefinitionProperty = "MaterialDefinitionPropertyType" {
        /// Its id.
        id: One<Identifier> = "ID",
        /// Its version.
        version: Option<Identifier> = "Version",
        /// For people.
        description: Vec<Text> = "Description",
        /// Whose value it is.
        property_type: Option<ClassPropertyType> = "PropertyType",
        /// Its values.
        values: Vec<Value> = "Value",
        /// Properties within it.
        children: Vec<MaterialDefinitionProperty> = "MaterialDefinitionPropertyChild",
        /// The property of the class that it is.
        class_property_id: Option<Identifier> = "MaterialClassPropertyID",
    }
}
