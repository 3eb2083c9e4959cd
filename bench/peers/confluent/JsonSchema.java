package io.confluent.kafka.schemaregistry.json;

import org.everit.json.schema.Schema;

/** Stands in for the registry's class of that name, of which its SchemaDiff uses no more than this. */
public final class JsonSchema {
  private final Schema schema;

  public JsonSchema(Schema schema) {
    this.schema = schema;
  }

  public Schema rawSchema() {
    return schema;
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof JsonSchema && schema.toString().equals(other.toString());
  }

  @Override
  public int hashCode() {
    return schema.toString().hashCode();
  }

  @Override
  public String toString() {
    return schema.toString();
  }
}
