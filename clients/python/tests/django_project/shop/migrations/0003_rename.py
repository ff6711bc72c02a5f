from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("shop", "0002_track")]

    operations = [migrations.RenameField("publisher", "label", "name")]
